"""Invariant 3 where two workers are at one stage: whoever comes second finds the deployment elsewhere, and writes nothing."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.domain.deployment import Deployment, Stage, State
from app.pipeline.line.stage import OVERTAKEN, Move, Outcome, run_stage
from app.store.schema.line import audit_entries, stages
from tests.pipeline.conftest import Line

IDENTIFIED = Move(State.IDENTIFIED, {"by": "the first"})
SECOND = {
    "goes on": Move(State.IDENTIFIED, {"by": "the second"}),
    "ends": Move(State.DENIED, {"by": "the second"}, reason="it says so"),
}


@pytest.mark.parametrize("how", SECOND)
def test_invariant_3_a_stage_that_another_worker_has_ended_meanwhile_writes_nothing(line: Line, how: str) -> None:
    made = line.push("contested")
    inner: list[Outcome] = []

    def look_outside(_: Deployment) -> Move:
        """Be so slow that another worker runs the stage from its start to its end."""
        inner.append(run_stage(line.services, made.id, Stage.VALIDATE_IDENTITY, lambda _: IDENTIFIED))
        return SECOND[how]

    assert run_stage(line.services, made.id, Stage.VALIDATE_IDENTITY, look_outside) is OVERTAKEN
    assert [outcome.goes_on for outcome in inner] == [True]
    assert line.now(made).state is State.IDENTIFIED
    with line.engine.connect() as connection:
        kept = connection.execute(select(stages.c.stage, stages.c.detail).where(stages.c.deployment_id == made.id)).all()
        mine = audit_entries.c.deployment_id == made.id
        told = list(connection.execute(select(audit_entries.c.action).where(mine).order_by(audit_entries.c.seq)).scalars())
    assert [tuple(row) for row in kept] == [("validate_identity", {"by": "the first"})]
    assert told == ["deployment:planned", "deployment:identified"]


def test_invariant_4_what_is_meant_to_be_started_is_under_a_lease_from_the_intent_on(line: Line) -> None:
    """Between intent and start nobody else may begin: the lease commits with the intent."""
    made, free = line.push("leased"), []

    def try_to_take() -> None:
        with line.services.store.unit() as unit:
            meant = unit.dispatches.of(made.id)[0].dispatch
            free.append(unit.dispatches.claim(meant.id, "another", 60) is not None)

    line.target.on_start = try_to_take
    assert line.run(made).state is State.SUCCEEDED
    assert free == [False]
