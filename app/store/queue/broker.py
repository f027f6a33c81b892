"""Celery's Redis transport with one client a channel, and queues without acknowledgements.

Upstream makes a client for every command (kombu 5.7.0 transport/redis.py Channel.conn_or_acquire), which was a tenth of a
worker's time; a client is thread-safe and only borrows connections from the channel's pool.
"""

from __future__ import annotations

from typing import Any

from kombu import Queue
from kombu.transport import redis

SCHEMES = ("redis", "rediss")


class QoS(redis.QoS):
    """Bookkeeping of unacknowledged messages, none for those that need no acknowledgement (upstream asks Redis for each)."""

    def ack(self, delivery_tag: str) -> None:
        """Forget a message that was noted when it was delivered."""
        if delivery_tag in (self._delivered or ()):
            super().ack(delivery_tag)


class Channel(redis.Channel):
    """A channel that keeps its client for as long as it keeps its pool."""

    QoS = QoS
    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        upstream: Any = super()  # its stubs do not know it
        if asynchronous:
            return upstream._create_client(asynchronous=True)
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = upstream._create_client()
        return self._kept


class Transport(redis.Transport):
    """Redis, as kombu speaks it."""

    Channel = Channel


def transport_for(url: str) -> str | None:
    """Name the transport for a broker's URL; None where Celery is to choose by itself."""
    return f"{__name__}:{Transport.__name__}" if _is_redis(url) else None


def queue_named(name: str, url: str) -> Queue:
    """Make a queue; on Redis, messages are gone once they are read.

    An acknowledgement would be sent before the task begins, so it would save nothing; and bookkeeping for it was a
    quarter of what a stage asked of Redis. What is lost with a dying worker, the sweeper sends again. (Other brokers push,
    and hold back only on account of what is not acknowledged yet.)
    """
    return Queue(name, routing_key=name, no_ack=_is_redis(url))


def _is_redis(url: str) -> bool:
    return url.partition("://")[0] in SCHEMES
