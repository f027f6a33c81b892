"""The tables of states and stages are complete, and do not contradict each other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.domain.deployment import ENDED, NEXT_STAGE, STAGES, WAITING, Deployment, Stage, State, Trigger
from app.domain.event import Account, Repository

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PLANNED = Deployment(
    id="1",
    position=1,
    delivery_id=None,
    correlation_id="1",
    environment="production",
    repository=Repository("gogs", 1, "acme/shop", "acme", 7),
    ref="refs/heads/main",
    before=None,
    sha="a" * 40,
    actor=Account("gogs", "2", "alice"),
    trigger=Trigger.PUSH,
    release_id=None,
    state=State.PLANNED,
    reason=None,
    principal=None,
    created_at=NOW,
    updated_at=NOW,
)


def test_the_stages_are_these_five_in_this_order() -> None:
    names = ["validate_identity", "check_permission", "inject_token", "dispatch_deploy", "confirm_deploy"]
    assert [stage.value for stage in STAGES] == names
    assert set(STAGES) == set(Stage)


@pytest.mark.parametrize("state", State)
def test_a_state_has_either_ended_or_a_stage_that_follows(state: State) -> None:
    assert (state in ENDED) is not (state in NEXT_STAGE)


def test_every_stage_is_reached_from_some_state() -> None:
    assert set(NEXT_STAGE.values()) == set(Stage)


def test_the_stages_that_follow_never_go_back() -> None:
    going_on = [state for state in State if state in NEXT_STAGE]
    order = [STAGES.index(NEXT_STAGE[state]) for state in going_on]
    assert order == sorted(order)
    assert going_on[0] is State.PLANNED and order[0] == 0


def test_a_waiting_state_is_one_before_anything_was_started() -> None:
    not_ended = set(State) - ENDED
    assert not_ended - WAITING == {State.DISPATCHING, State.DISPATCHED}
    assert not WAITING & ENDED


@pytest.mark.parametrize("state", State)
def test_a_deployment_has_ended_in_an_ended_state_only(state: State) -> None:
    ended = {State.SUCCEEDED, State.DENIED, State.SUPERSEDED, State.FAILED}
    assert replace(PLANNED, state=state).has_ended is (state in ended)


@pytest.mark.parametrize("trigger", Trigger)
def test_only_a_rollback_and_a_failure_bring_an_earlier_release_back(trigger: Trigger) -> None:
    assert replace(PLANNED, trigger=trigger).is_rollback is (trigger in (Trigger.ROLLBACK, Trigger.FAILURE))
