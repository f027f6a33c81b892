"""Messages: each has a row in `docs/who-may.md`, and a forged one moves nothing out of turn."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.deployment import NEXT_STAGE, Stage, State
from tests.pipeline.conftest import VERBS, Line, line

__all__ = ["line"]
PAGE = Path(__file__).parents[2] / "docs" / "who-may.md"
NOBODY = "01890000-0000-7000-8000-000000000001"


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """List the messages that the workers take."""
    monkeypatch.setenv("TIDEGATE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("TIDEGATE_REDIS_URL", "redis://127.0.0.1:1/0")
    for module in ("stages", "periodic"):
        import_module(f"workers.{module}")  # it registers its tasks
    from workers.celery import app

    return {name for name in app.tasks if not name.startswith("celery.")}


def test_each_message_has_a_row_and_no_row_is_left_over(tasks: set[str]) -> None:
    table = PAGE.read_text().partition("\n## Messages\n")[2]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for cell in cells for name in re.findall(r"`(\w+)`", cell)} == tasks


def everything(line: Line) -> list[Any]:
    with line.engine.connect() as connection:
        query = "SELECT id, state, updated_at FROM deployments ORDER BY id"
        return [*connection.exec_driver_sql(query), connection.exec_driver_sql("SELECT count(*) FROM audit_entries").scalar_one()]


@pytest.mark.usefixtures("tasks")
def test_a_process_that_cannot_mint_uses_up_no_try_of_a_dispatch(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer of Redis may put the message into the queue of another process."""
    from workers import stages

    deployment = line.push("one")
    line.run(deployment, last=Stage.INJECT_TOKEN)
    for master_key, state, starts in ((None, State.GRANTED, 0), ("key", State.DISPATCHED, 1)):
        here = SimpleNamespace(settings=SimpleNamespace(master_key=master_key), services=line.services)
        monkeypatch.setattr(stages, "process", lambda here=here: here)
        for _ in range(10):
            stages.dispatch_deploy.apply((deployment.id, deployment.correlation_id))
        assert (line.now(deployment).state, len(line.target.started)) == (state, starts)


def test_a_forged_message_moves_nothing_out_of_turn(line: Line) -> None:
    """In each state, every stage but the one whose turn it is does nothing, and nor does any stage of what does not exist."""
    deployment = line.push("one")
    for stage, verb in VERBS.items():
        before = everything(line)
        assert NEXT_STAGE[line.now(deployment).state] is stage
        for other in Stage:
            VERBS[other](line.services, NOBODY)
            if other is not stage:
                VERBS[other](line.services, deployment.id)
        assert everything(line) == before and len(line.target.started) == (stage is Stage.CONFIRM_DEPLOY)
        verb(line.services, deployment.id)
    assert line.now(deployment).state is State.SUCCEEDED
    for verb in VERBS.values():
        verb(line.services, deployment.id)
    assert len(line.target.started) == 1
