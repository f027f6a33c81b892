"""The front: what may wait for the database or for an issuer never runs on the loop's thread, so deliveries go on."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.web.receiver.front import Front, FrontLimits
from app.web.receiver.hooks import Quick
from tests.web.gate import Gate

LIMITS = FrontLimits(1024 * 1024, 5.0, 8 * 1024 * 1024)


@dataclass
class Scope:
    """A request as RSGI tells it."""

    path: str
    method: str = "POST"
    http_version: str = "1.1"
    server: str = "127.0.0.1:8300"
    client: str = "127.0.0.1:9999"
    scheme: str = "http"
    query_string: str = ""

    @property
    def headers(self) -> Any:
        return {"content-length": "1"}


@dataclass
class Exchange:
    """A body of one byte, and the answer."""

    answers: list[int] = field(default_factory=list)

    async def __call__(self) -> bytes:
        return b"x"

    def __aiter__(self) -> Any:
        raise NotImplementedError("a small body comes whole")

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answers.append(status)


def threads_of(*paths: str, **options: Any) -> dict[str, str]:
    """Serve small POSTs to these paths; return in which thread each was."""
    seen: dict[str, str] = {}

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen[environ["PATH_INFO"]] = threading.current_thread().name
        start_response("200 OK", [])
        return [b""]

    async def run() -> None:
        front = Front(app, LIMITS, **options)
        loop = asyncio.get_running_loop()
        front.__rsgi_init__(loop)
        for path in paths:
            await front.__rsgi__(Scope(path), Exchange())
        front.__rsgi_del__(loop)

    asyncio.run(run())
    return seen


def test_only_deliveries_run_on_the_loop() -> None:
    seen = threads_of("/hooks/gogs", "/api/v1/links", "/logout", "/scim/v2/Users", "/hooksgogs", "//hooks/gogs", "/x/hooks/gogs")
    assert [path for path, thread in seen.items() if not thread.startswith("web-")] == ["/hooks/gogs"]


@pytest.mark.parametrize("path", ["/hooks/gogs", "/hooks/nowhere"])
def test_a_delivery_waits_for_nothing(gate: Gate, path: str) -> None:
    assert Quick(gate.process)(path)


def test_a_delivery_that_must_bring_a_token_may_wait_for_the_issuers_keys(gate: Gate) -> None:
    path: Path = gate.folder / "tidegate.toml"
    path.write_text(path.read_text().replace('kind = "gogs"', 'kind = "gogs"\naccess_issuer = "corp"'))
    quick = Quick(gate.process)
    assert not quick("/hooks/gogs") and quick("/hooks/other") and not quick("/logout")
    seen = threads_of("/hooks/gogs", "/hooks/other", is_quick=quick)
    assert seen["/hooks/gogs"].startswith("web-") and not seen["/hooks/other"].startswith("web-")
