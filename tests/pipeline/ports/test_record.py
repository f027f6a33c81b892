"""The recorder: an entry takes ids, actor and correlation from the thing that it is about, unless its call names others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest

from app.domain.audit import AuditAction
from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import Deployment, State, Trigger
from app.domain.event import Account, Repository
from app.domain.notice import Notice
from app.domain.proposal import Proposal, ProposalKind
from app.pipeline.ports.record import Recorder, deployment_action

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
DELIVERY = Delivery("d", "gogs", "one", "ping", b"{}", None, "a ping", NOW, DeliveryState.PENDING)
REPOSITORY = Repository("gogs", 1, "acme/shop", "acme", 7)
ALICE = Account("gogs", "2", "alice")
PROPOSAL = Proposal("p", ProposalKind.ROLLBACK, "robot", "it is slow", NOW, NOW, deployment_id="deployed")


class Ids:
    def __init__(self) -> None:
        self._numbers = count(1)

    def new(self) -> str:
        return f"id-{next(self._numbers)}"


class Clock:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(Clock(), Ids())


@pytest.fixture
def deployment() -> Deployment:
    return Deployment(
        id="deployed",
        position=1,
        delivery_id="d",
        correlation_id="cause",
        environment="production",
        repository=REPOSITORY,
        ref="refs/heads/main",
        before=None,
        sha="a" * 40,
        actor=ALICE,
        trigger=Trigger.PUSH,
        release_id=None,
        state=State.PLANNED,
        reason=None,
        principal=None,
        created_at=NOW,
        updated_at=NOW,
    )


def test_a_deployments_entry_names_its_cause_environment_and_commit(recorder: Recorder, deployment: Deployment) -> None:
    entry = recorder.entry(AuditAction.DEPLOYMENT_HELD, {"reason": "two people"}, about=deployment)
    assert (entry.deployment_id, entry.delivery_id, entry.correlation_id) == ("deployed", "d", "cause")
    assert entry.detail == {"environment": "production", "sha": "a" * 40, "reason": "two people"}


def test_a_proven_principal_is_the_actor_and_before_that_the_account(recorder: Recorder, deployment: Deployment) -> None:
    made = [deployment, replace(deployment, principal="alice")]
    assert [recorder.entry(AuditAction.DEPLOYMENT_HELD, about=each).actor for each in made] == ["gogs:2", "alice"]


def test_who_acts_on_something_is_named_and_not_whose_it_is(recorder: Recorder, deployment: Deployment) -> None:
    assert recorder.entry(AuditAction.APPROVAL_APPROVED, about=deployment, actor="bob").actor == "bob"


def test_a_detail_may_hold_any_name(recorder: Recorder, deployment: Deployment) -> None:
    grant = {"actor": "alice", "at": 1, "about": 2, "environment": "staging"}
    entry = recorder.entry(AuditAction.DEPLOYMENT_GRANTED, grant, about=deployment)
    assert (entry.actor, entry.at, entry.detail) == ("gogs:2", NOW, grant | {"sha": "a" * 40})


def test_a_delivery_without_an_actor_is_its_forges(recorder: Recorder) -> None:
    entry = recorder.entry(AuditAction.DELIVERY_IGNORED, about=DELIVERY)
    assert (entry.actor, entry.delivery_id, entry.correlation_id, entry.deployment_id) == ("forge:gogs", "d", "d", None)


def test_a_proposal_names_the_deployment_that_it_became(recorder: Recorder) -> None:
    entry = recorder.entry(AuditAction.PROPOSAL_ACCEPTED, about=PROPOSAL, actor="alice")
    assert (entry.deployment_id, entry.correlation_id) == ("deployed", "p")


def test_an_entry_about_nothing_that_names_an_actor_must_name_one(recorder: Recorder) -> None:
    for about in (None, PROPOSAL, Notice("n", NOW, "deployment:held", "", "", {})):
        with pytest.raises(ValueError, match="names no actor"):
            recorder.entry(AuditAction.CONFIG_TAKEN, about=about)


def test_an_entry_without_a_cause_stands_under_an_id_of_its_own(recorder: Recorder) -> None:
    first, second = (recorder.entry(AuditAction.CONFIG_TAKEN, actor="tidegate:gate") for _ in range(2))
    assert first.correlation_id != second.correlation_id


def test_the_entries_of_one_act_belong_together(recorder: Recorder) -> None:
    act = recorder.act("os:root")
    first, second = (act.entry(action) for action in (AuditAction.ACCESS_UNLINKED, AuditAction.ACCESS_LINKED))
    assert first.id != second.id and first.correlation_id == second.correlation_id == act.correlation_id
    assert (first.actor, first.at) == ("os:root", NOW)


@pytest.mark.parametrize("state", State)
def test_a_move_to_any_state_has_its_action(state: State) -> None:
    assert deployment_action(state).value == f"deployment:{state.value}"
