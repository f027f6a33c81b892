"""An outage of the database is one line in the log, every second at most: no error, no traceback, nothing for Sentry."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from structlog.testing import capture_logs

from app.domain.errors import GateError, StoreUnavailable


@dataclass
class Away:
    """Services that fail in the same way on every use."""

    fault: GateError

    def __getattr__(self, name: str) -> NoReturn:
        raise self.fault


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("TIDEGATE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("TIDEGATE_REDIS_URL", "redis://127.0.0.1:1/0")
    from workers import periodic, stages

    def take(fault: GateError) -> None:
        process = SimpleNamespace(services=Away(fault))
        monkeypatch.setattr(stages, "process", lambda: process)
        monkeypatch.setattr(periodic, "process", lambda: process)

    return {"sweep": periodic.sweep_standing, "plan_delivery": lambda: stages.plan_delivery("any"), "take": take}


@pytest.mark.parametrize("name", ["sweep", "plan_delivery"])
def test_a_database_that_is_away_is_waited_out(tasks: dict[str, Any], name: str) -> None:
    tasks["take"](StoreUnavailable("the database cannot be used now"))
    with capture_logs() as lines:
        tasks[name]()
    assert [(line["step"], line["outcome"], line["error"], line["log_level"]) for line in lines] == [
        (name, "later", StoreUnavailable.code, "warning")
    ]


@pytest.mark.parametrize("name", ["sweep", "plan_delivery"])
def test_what_will_not_pass_is_still_an_error(tasks: dict[str, Any], name: str) -> None:
    tasks["take"](GateError("broken"))
    with pytest.raises(GateError, match="broken"):
        tasks[name]()
