"""Cancelling: a person with the right ends what is not dispatched yet, whatever it waits for; what has begun cannot be ended."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.audit import AuditAction
from app.domain.deployment import Progress, Stage, State
from app.domain.errors import Forbidden, NotAllowed, NotFound, RateLimited, RepositoryUnavailable
from app.domain.session import StoredSession
from app.integrations.policy.cedar import CedarPolicy
from app.integrations.targets.protocol import Report
from app.pipeline.approve.cancel import cancel
from app.pipeline.ports.services import IssuerBinding
from app.store.reads import Reads
from tests.pipeline.approvals import POLICY, Held, holding
from tests.pipeline.conftest import VERBS, Line, sha

RIGHT = '@id("leads-cancel") permit (principal in Group::"leads", action == Action::"cancel", resource);'


@pytest.fixture
def held(line: Line) -> Held:
    held = holding(line)
    line.policy = CedarPolicy({"a.cedar": POLICY + RIGHT})  # type: ignore[assignment]
    return held


def by(held: Held, deployment_id: str, subject: str = "bob", reason: str = "the wrong branch") -> State:
    return cancel(held.line.services, deployment_id, held.principal(subject), reason).state


def test_invariant_15_what_waits_for_a_fault_to_pass_is_cancelled_without_asking_git(held: Held) -> None:
    stuck = held.line.push("one")
    held.line.repositories.fault = RepositoryUnavailable("git fetch: no route to host")
    with pytest.raises(RepositoryUnavailable):
        held.line.run(stuck)
    assert by(held, stuck.id) is State.DENIED
    ended = held.line.now(stuck)
    assert ended.reason == "cancelled by bob: the wrong branch"
    entries = Reads(held.line.engine).audit(deployment_id=stuck.id)
    assert [(e.action, e.actor) for e in entries[-2:]] == [
        (AuditAction.DEPLOYMENT_CANCELLED, "bob"),
        (AuditAction.DEPLOYMENT_DENIED, "gogs:2"),
    ]
    assert entries[-2].detail["effect"] == "allow" and entries[-2].detail["request"]["request"]["action"]["id"] == "cancel"


@pytest.mark.parametrize("last", [Stage.VALIDATE_IDENTITY, Stage.CHECK_PERMISSION, Stage.INJECT_TOKEN])
def test_it_is_cancelled_wherever_it_waits_and_no_stage_goes_on(line: Line, last: Stage) -> None:
    deployment = line.push("one")
    line.run(deployment, last)
    alice = line.identity.people["gogs:2"]
    assert cancel(line.services, deployment.id, alice).reason == "cancelled by alice"
    for verb in VERBS.values():
        verb(line.services, deployment.id)
    assert line.now(deployment).state is State.DENIED and line.target.started == []


def test_what_was_held_frees_its_request_and_supersedes_nothing(held: Held) -> None:
    deployment = held.held()
    assert by(held, deployment.id) is State.DENIED
    assert held.requests(deployment) == ["void"]


def test_one_in_the_lane_is_cancelled_and_one_under_way_lets_the_next_in(line: Line) -> None:
    alice = line.identity.people["gogs:2"]
    first, *_, last = [line.push(f"push {n}") for n in range(6)]
    assert cancel(line.services, last.id, alice).state is State.DENIED
    line.wakes.runs.clear()
    cancel(line.services, first.id, alice)
    assert [wake.stage for wake in line.wakes.runs] == [Stage.VALIDATE_IDENTITY]


@pytest.mark.parametrize("subject", ["alice", "erin"])
def test_it_takes_the_right_by_name(held: Held, subject: str) -> None:
    """A permit for any action is none, and one's own deployment is no exception."""
    any_action = '@id("all") permit (principal in Group::"deployers", action, resource);'
    held.line.policy = CedarPolicy({"a.cedar": POLICY + any_action})  # type: ignore[assignment]
    deployment = held.held()
    with pytest.raises(Forbidden, match="no policy permits"):
        by(held, deployment.id, subject)
    assert held.line.now(deployment).state is State.HELD


def test_it_is_judged_by_the_session_of_the_request_not_by_the_person_s_newest(held: Held) -> None:
    """A stolen old session must not be lent the second factor of the owner's own."""
    fresh = RIGHT.removesuffix(";") + " when { context.session.mfa_age < 900 };"
    held.line.policy = CedarPolicy({"a.cedar": POLICY + fresh})  # type: ignore[assignment]
    deployment, stolen, own = held.held(), held.in_person("bob", mfa=False), held.in_person("bob")
    now = held.line.clock.now()
    with held.line.services.store.unit() as unit:
        for person in (stolen, own):
            facts = person.session
            unit.sessions.add(StoredSession(facts.id, facts.id, {}, now, now, now + timedelta(hours=1), facts))
    services = held.line.services
    former = services.guard
    issuer = IssuerBinding("https://id.example", False, None, None, None, None)  # type: ignore[arg-type]
    services = replace(services, guard=lambda: replace(former(), issuers={"corp": issuer}))
    with pytest.raises(Forbidden):
        cancel(services, deployment.id, stolen.principal, session=stolen.session)
    assert held.line.now(deployment).state is State.HELD
    assert cancel(services, deployment.id, own.principal, session=own.session).state is State.DENIED


def test_a_refusal_is_audited_with_its_deployment_and_limited_in_rate(held: Held) -> None:
    deployment = held.held()
    for _ in range(10):
        with pytest.raises(Forbidden):
            by(held, deployment.id, "erin")
    with pytest.raises(RateLimited):
        by(held, deployment.id, "erin")
    entries = [e for e in Reads(held.line.engine).audit(deployment_id=deployment.id) if e.action == AuditAction.RIGHT_REFUSED]
    assert len(entries) == 10 and {(e.actor, e.detail["right"]) for e in entries} == {("erin", "cancel")}
    assert by(held, deployment.id) is State.DENIED  # another person is not held up


def test_an_agent_and_a_person_who_is_not_active_cancel_nothing(held: Held) -> None:
    deployment = held.held()
    with pytest.raises(Forbidden, match="only people cancel"):
        by(held, deployment.id, "robot")
    held.change("bob", active=False)
    with pytest.raises(Forbidden, match="not active"):
        by(held, deployment.id, "bob")


def test_what_has_begun_or_ended_says_what_to_do(line: Line) -> None:
    alice = line.identity.people["gogs:2"]
    line.target.answers = [Report(Progress.RUNNING)]
    line.target.polls = [Report(Progress.RUNNING)]
    deployment = line.push("one")
    line.run(deployment)
    with pytest.raises(NotAllowed, match=r"dispatched: its start cannot be taken back.*tidegate deployment rollback production"):
        cancel(line.services, deployment.id, alice)
    line.target.polls = [Report(Progress.SUCCEEDED)]
    line.run(deployment)
    with pytest.raises(NotAllowed, match="has already ended: it is succeeded"):
        cancel(line.services, deployment.id, alice)
    with pytest.raises(NotFound):
        cancel(line.services, line.services.ids.new(), alice)


def test_a_cancel_and_a_dispatch_at_the_same_moment_have_one_winner(line: Line) -> None:
    """Ten times over: either the target is started and the cancel says so, or it is cancelled and nothing starts."""
    alice = line.identity.people["gogs:2"]
    for n in range(10):
        deployment = line.push(f"push {n}")
        line.run(deployment, Stage.INJECT_TOKEN)
        refused: list[NotAllowed] = []
        start = threading.Barrier(2)

        def end(
            deployment_id: str = deployment.id, start: threading.Barrier = start, refused: list[NotAllowed] = refused
        ) -> None:
            start.wait()
            try:
                cancel(line.services, deployment_id, alice)
            except NotAllowed as fault:
                refused.append(fault)

        thread = threading.Thread(target=end)
        thread.start()
        start.wait()
        VERBS[Stage.DISPATCH_DEPLOY](line.services, deployment.id)
        thread.join(30)
        was_started = sha(f"push {n}") in [order.sha for order in line.target.started]
        assert was_started == bool(refused) == (line.now(deployment).state is not State.DENIED)
        VERBS[Stage.CONFIRM_DEPLOY](line.services, deployment.id)
