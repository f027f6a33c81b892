"""The one outbound HTTP client: no redirects, no proxies from the environment, bounded answers, strict time limits."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

READ_LIMIT = 64 * 1024
SLACK = 0.1  # seconds: httpx's own limit comes first, because its error says which limit it was


class NotSent(Exception):
    """The connection could not be made, so nothing was sent."""


class Unanswered(Exception):
    """The request was sent, but no complete answer came back. It may or may not have been processed."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An answer: its status, the beginning of its body, and its headers, with names in lower case.

    `is_whole`: the beginning is the whole body.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    is_whole: bool = True


class HttpClient:
    """Sends requests, each on a connection of its own. Error texts hold neither URL credentials nor headers."""

    def __init__(self, *, connect_timeout: float, read_timeout: float) -> None:
        """Wait `connect_timeout` seconds for a connection, and `read_timeout` for the whole exchange on it."""
        self._timeout = httpx.Timeout(read_timeout, connect=connect_timeout)
        self._seconds = read_timeout

    def post(self, url: str, *, content: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Post `content`; raises NotSent or Unanswered."""
        return self._send("POST", url, content, headers)

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, limit: int = READ_LIMIT) -> HttpAnswer:
        """Get `url`, and read at most `limit` bytes of the body; raises NotSent or Unanswered."""
        return self._send("GET", url, None, headers or {}, limit)

    def _send(
        self, method: str, url: str, content: bytes | None, headers: Mapping[str, str], limit: int = READ_LIMIT
    ) -> HttpAnswer:
        deadline = _Deadline(self._seconds)
        try:
            with (
                deadline,
                httpx.Client(timeout=self._timeout, follow_redirects=False, trust_env=False, verify=_tls()) as client,
                client.stream(
                    method,
                    url,
                    content=content,
                    headers={"accept-encoding": "identity", **headers},
                    extensions={"trace": deadline.watch},
                ) as answer,
            ):
                body = _beginning(answer, limit)
                return HttpAnswer(answer.status_code, body[:limit], dict(answer.headers), len(body) <= limit)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as fault:
            raise NotSent(type(fault).__name__) from None
        except httpx.HTTPError as fault:
            raise Unanswered("Timeout" if deadline.has_passed else type(fault).__name__) from None


@cache
def _tls() -> ssl.SSLContext:
    """Read the trusted authorities, once: reading them for each request cost more than the rest of a stage."""
    return httpx.create_ssl_context(trust_env=False)


class _Deadline:
    """Ends an exchange `seconds` after its connection was made. httpx's own limits start again with every byte."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds + SLACK, self._end)
        self._timer.daemon = True
        self._socket: socket.socket | None = None
        self.has_passed = False

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def watch(self, name: str, info: Mapping[str, Any]) -> None:
        """Learn the connection's socket from httpx (python-httpx.org/advanced/extensions, `trace`)."""
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self.has_passed:
                self._end()  # the time ran out during the TLS handshake
            elif not self._timer.is_alive():
                self._timer.start()

    def _end(self) -> None:
        self.has_passed = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _beginning(answer: httpx.Response, limit: int) -> bytes:
    """Read the first `limit` bytes of the body, and perhaps a few more, undecoded: decoding would not be bounded."""
    pieces, size = [], 0
    for piece in answer.iter_raw():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            break
    return b"".join(pieces)


class HealthProbe:
    """Asks a service for its health (protocol: pipeline.ports.services.HealthProbe)."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def check(self, url: str) -> tuple[bool, str]:
        """Tell whether `url` answers 2xx now, and describe its answer in one line."""
        try:
            answer = self._client.get(url)
        except (NotSent, Unanswered) as fault:
            return False, f"no answer ({fault})"
        return 200 <= answer.status < 300, f"HTTP {answer.status}"
