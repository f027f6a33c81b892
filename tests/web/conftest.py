"""One OpenID Connect provider for all tests of sign-in; a gate and a forge of each test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.integrations.identity.oidc import jwks
from app.web.people import oauth
from tests.integrations.targets.cast import serving
from tests.oidc.cast import Provider, providing
from tests.ports import free_port
from tests.waiting import PATIENCE
from tests.web.gate import Browser, Gate, a_gate


@pytest.fixture(scope="session")
def gate_port() -> int:
    return free_port()


@pytest.fixture(scope="session")
def _provider(gate_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    log = tmp_path_factory.mktemp("provider") / "log"
    with providing(free_port(), f"http://127.0.0.1:{gate_port}/login/corp/callback", log) as provider:
        yield provider


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait longer for the provider than in production: on a busy machine Node.js takes its time."""
    for module in (jwks, oauth):
        for name in ("CONNECT_SECONDS", "READ_SECONDS", "WAIT_SECONDS"):
            monkeypatch.setattr(module, name, PATIENCE)


@pytest.fixture
def provider(_provider: Provider) -> Provider:
    _provider.reset()
    return _provider


@pytest.fixture
def gate(engine: Engine, tmp_path: Path, provider: Provider, gate_port: int) -> Iterator[Gate]:
    with serving() as forge, a_gate(engine, tmp_path, provider, forge, port=gate_port) as gate:
        yield gate


@pytest.fixture
def browser(gate: Gate) -> Browser:
    return Browser(gate)
