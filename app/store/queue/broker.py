"""Celery's Redis transport with one client a channel, and queues without acknowledgements.

Upstream makes a client for every command (kombu 5.7.0 transport/redis.py Channel.conn_or_acquire), which took a tenth of a
worker's time. A client is thread-safe and only borrows connections from the channel's pool.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

from kombu import Queue
from kombu.transport import redis

TLS_SCHEME = "rediss"
SCHEMES = ("redis", TLS_SCHEME)


class QoS(redis.QoS):
    """Bookkeeping of unacknowledged messages. Skips messages without acknowledgement (upstream asks Redis about each)."""

    def ack(self, delivery_tag: str) -> None:
        """Forget a message that was noted when it was delivered."""
        if delivery_tag in (self._delivered or ()):
            super().ack(delivery_tag)


class Channel(redis.Channel):
    """A channel that keeps its client for as long as it keeps its pool."""

    QoS = QoS
    _kept_client: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        upstream: Any = super()  # the method is not in its stubs
        if asynchronous:
            return upstream._create_client(asynchronous=True)
        if self._kept_client is None or self._kept_client.connection_pool is not self.pool:
            self._kept_client = upstream._create_client()
        return self._kept_client


class Transport(redis.Transport):
    """Kombu's Redis transport with this channel."""

    Channel = Channel


def transport_for(url: str) -> str | None:
    """Name the transport for a broker's URL; None if Celery is to choose by itself."""
    return f"{__name__}:{Transport.__name__}" if _is_redis(url) else None


def queue_named(name: str, url: str) -> Queue:
    """Make a queue. On Redis, messages are gone once they are read.

    An acknowledgement would be sent before the task begins, so it would not save a message. Its bookkeeping took a quarter of
    a stage's requests to Redis. The sweeper sends again the messages that a dying worker loses. (Other brokers push
    messages, and need acknowledgements to know when to hold back.)
    """
    return Queue(name, routing_key=name, no_ack=_is_redis(url))


def tls_for(url: str) -> dict[str, Any] | None:
    """Return the TLS options of a broker's URL: its certificate is checked, unless the URL says otherwise. None without TLS.

    Kombu speaks in clear to `rediss://` if the transport is named and the URL has no option, and checks no certificate if the
    transport is not named (kombu 5.7.0 connection.py). redis-py checks the host name, too.
    """
    parts = urlsplit(url)
    if parts.scheme != TLS_SCHEME:
        return None
    options = {name: value for name, value in parse_qsl(parts.query) if name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")}
    return {"ssl_cert_reqs": dict(parse_qsl(parts.query)).get("ssl_cert_reqs", "required"), **options}


def _is_redis(url: str) -> bool:
    return url.partition("://")[0] in SCHEMES
