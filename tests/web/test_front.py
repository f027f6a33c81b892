"""The front: which requests may be answered on the loop's own thread, where nothing may wait for the database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any

import pytest

from app.web.front import SMALL_BYTES, Front, FrontLimits


class Headers:
    def __init__(self, length: int) -> None:
        self._length = length

    def items(self) -> list[tuple[str, str]]:
        return [("content-length", str(self._length))]


class Scope:
    http_version, server, client, scheme, query_string = "1.1", "127.0.0.1:1", "127.0.0.1:2", "http", ""

    def __init__(self, method: str, path: str, length: int) -> None:
        self.method, self.path, self.headers = method, path, Headers(length)


class Exchange:
    def __init__(self, body: bytes) -> None:
        self._body, self.status = body, 0

    async def __call__(self) -> bytes:
        return self._body

    async def __aiter__(self) -> Any:
        yield self._body

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status


@pytest.mark.parametrize(
    ("method", "path", "length", "is_on_loop"),
    [
        ("POST", "/hooks/gogs", 10, True),
        ("POST", "/hooks/gogs", SMALL_BYTES + 1, False),
        ("POST", "/scim/v2/Users", 10, False),
        ("POST", "/scim/v2/hooks/x", 10, False),
        ("POST", "/hooksx", 10, False),
        ("POST", "/", 0, False),
        ("PATCH", "/scim/v2/Users/1", 10, False),
        ("GET", "/hooks/gogs", 0, False),
    ],
)
def test_only_small_deliveries_are_answered_on_the_loops_thread(method: str, path: str, length: int, is_on_loop: bool) -> None:
    called: list[threading.Thread] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        called.append(threading.current_thread())
        start_response("204 No Content", [])
        return [b""]

    async def serve() -> None:
        front = Front(app, FrontLimits(1 << 20, 5.0, 1 << 22))
        front.__rsgi_init__(asyncio.get_running_loop())
        exchange = Exchange(b"x" * length)
        await front.__rsgi__(Scope(method, path, length), exchange)
        front.__rsgi_del__(asyncio.get_running_loop())
        assert exchange.status == 204

    asyncio.run(serve())
    assert (called == [threading.main_thread()]) is is_on_loop
