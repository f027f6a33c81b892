"""The one outbound HTTP client: no redirects, no proxies from the environment, bounded answers, strict time limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

READ_LIMIT = 64 * 1024


class NotSent(Exception):
    """The connection could not be made, so nothing was sent."""


class Unanswered(Exception):
    """The request went out and no whole answer came back: it may or may not have been processed."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A status and the beginning of the body."""

    status: int
    body: bytes


class HttpClient:
    """Sends requests, each on a connection of its own. Error texts name neither URL credentials nor headers."""

    def __init__(self, *, connect_timeout: float, read_timeout: float) -> None:
        self._timeout = httpx.Timeout(read_timeout, connect=connect_timeout)

    def post(self, url: str, *, content: bytes, headers: Mapping[str, str]) -> HttpAnswer:
        """Post `content`; raises NotSent or Unanswered."""
        return self._send("POST", url, content, headers)

    def get(self, url: str) -> HttpAnswer:
        """Get `url`; raises NotSent or Unanswered."""
        return self._send("GET", url, None, {})

    def _send(self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]) -> HttpAnswer:
        try:
            with (
                httpx.Client(timeout=self._timeout, follow_redirects=False, trust_env=False) as client,
                client.stream(method, url, content=content, headers=dict(headers)) as answer,
            ):
                return HttpAnswer(answer.status_code, _beginning(answer))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as fault:
            raise NotSent(type(fault).__name__) from None
        except httpx.HTTPError as fault:
            raise Unanswered(type(fault).__name__) from None


def _beginning(answer: httpx.Response) -> bytes:
    body = b""
    for piece in answer.iter_bytes():
        body += piece
        if len(body) >= READ_LIMIT:
            break
    return body[:READ_LIMIT]


class HealthProbe:
    """Asks a service whether it is well (protocol: pipeline.services.HealthProbe)."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def check(self, url: str) -> tuple[bool, str]:
        """Tell whether `url` answers 2xx now, and what it said in one line."""
        try:
            answer = self._client.get(url)
        except (NotSent, Unanswered) as fault:
            return False, f"no answer ({fault})"
        return 200 <= answer.status < 300, f"HTTP {answer.status}"
