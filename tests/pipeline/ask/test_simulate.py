"""Simulation without a command line: it answers for whatever it is asked about."""

from __future__ import annotations

from app.domain.decision import Action, Effect
from app.pipeline.ask.simulate import Supposition, simulate
from tests.pipeline.approvals import holding
from tests.pipeline.conftest import Line


def test_a_push_to_a_repository_without_a_name_is_denied_and_not_a_crash(line: Line) -> None:
    holding(line)
    (simulation,) = simulate(line.services, Supposition("alice", "", "refs/heads/main", action=Action.PUSH))
    assert simulation.decision.effect is Effect.DENY
