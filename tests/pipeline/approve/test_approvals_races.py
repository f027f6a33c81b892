"""Votes against votes, against expiry and against a newer push: at once, on a real Postgres. Whoever is first is whole."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest

from app.domain.approval import ApprovalRule, ApprovalSettings, Verdict
from app.domain.decision import Action, Decision, DecisionRequest
from app.domain.deployment import Deployment, Stage, State
from app.domain.errors import Forbidden, NotAllowed
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.line.authorize import authorize
from app.pipeline.ports.services import Services
from tests.fakes import FakeClock
from tests.pipeline.approvals import POLICY, Held, holding
from tests.pipeline.conftest import Line

ROUNDS = 6


@pytest.fixture
def held(line: Line) -> Held:
    return holding(line)


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Do all at once; a refusal is an answer too."""
    start = Barrier(len(acts), timeout=20)

    def run(act: Callable[[], object]) -> object:
        start.wait()
        try:
            return act()
        except (Forbidden, NotAllowed) as fault:
            return fault

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(run, acts))


def started(held: Held) -> int:
    return len(held.line.target.started)


def finish(held: Held, deployment: Deployment) -> Deployment:
    """Follow the wakes that were sent until nothing moves."""
    return held.line.run(deployment)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_of_two_last_votes_both_count_and_it_is_started_once(held: Held, round_: int) -> None:
    held.configure(ApprovalSettings((ApprovalRule(2),)))
    deployment = held.held()
    answers = at_once(lambda: held.vote(deployment, "bob"), lambda: held.vote(deployment, "dana"))
    assert not any(isinstance(answer, Exception) for answer in answers)
    outcomes = at_once(*[lambda: finish(held, deployment)] * 2)
    assert State.SUCCEEDED in {getattr(each, "state", None) for each in outcomes} | {held.line.now(deployment).state}
    assert held.line.now(deployment).state is State.SUCCEEDED and started(held) == 1
    assert held.line.actions(deployment).count("deployment:permitted") == 1


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_of_two_equal_votes_of_one_person_one_counts(held: Held, round_: int) -> None:
    held.configure(ApprovalSettings((ApprovalRule(2),)))
    deployment = held.held()
    answers = at_once(*[lambda: held.vote(deployment, "bob")] * 2)
    assert sum(isinstance(answer, NotAllowed) for answer in answers) == 1
    assert held.resumed(deployment).state is State.HELD


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_an_approve_and_a_reject_at_once_end_it_or_let_it_go_on_and_never_both(held: Held, round_: int) -> None:
    deployment = held.held()
    at_once(lambda: held.vote(deployment, "bob"), lambda: held.vote(deployment, "dana", Verdict.REJECT))
    ended = finish(held, deployment)
    assert (ended.state, started(held)) in {(State.DENIED, 0), (State.SUCCEEDED, 1)}
    assert held.requests(deployment) == [{State.DENIED: "rejected", State.SUCCEEDED: "granted"}[ended.state]]


def expiring(held: Held) -> Services:
    """The same services, on a host whose clock says that the request is over."""
    clock = FakeClock()
    clock.move(3601)
    return replace(held.line.services, clock=clock)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_vote_that_was_taken_is_never_lost_to_the_expiry_at_the_same_moment(held: Held, round_: int) -> None:
    deployment = held.held()
    held.line.clock.move(3590)  # the vote is young enough for the other host, too
    late = expiring(held)
    vote, _ = at_once(lambda: held.vote(deployment, "bob"), lambda: authorize(late, deployment.id))
    if isinstance(vote, NotAllowed):
        assert held.line.now(deployment).state is State.DENIED and held.requests(deployment) == ["expired"]
        return
    # Taken: the other host counts it, or leaves the deployment to the host that took it.
    assert held.line.now(deployment).state in {State.HELD, State.PERMITTED}
    assert finish(held, deployment).state is State.SUCCEEDED


class Meanwhile(CedarPolicy):
    """Has bob vote just after the deployment was decided for the first time."""

    held: Held
    deployment: Deployment
    voted = False

    def decide(self, request: DecisionRequest) -> Decision:
        decision = super().decide(request)
        if request.action is Action.DEPLOY and not self.voted:
            self.voted = True
            self.held.vote(self.deployment, "bob")
        return decision


def test_a_vote_between_the_decision_and_the_end_of_the_waiting_stops_the_end(held: Held) -> None:
    deployment = held.held()
    policy = Meanwhile({"a.cedar": POLICY})
    policy.held, policy.deployment = held, deployment
    held.line.policy = policy  # type: ignore[assignment]
    outcome = authorize(expiring(held), deployment.id)
    assert policy.voted and outcome.outcome == "another worker was faster"
    assert finish(held, deployment).state is State.SUCCEEDED


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_vote_against_a_newer_push_starts_one_of_them_at_most(held: Held, round_: int) -> None:
    first = held.held("one")
    second = held.line.run(held.line.push("two"), Stage.VALIDATE_IDENTITY)
    vote, _ = at_once(lambda: held.vote(first, "bob"), lambda: authorize(held.line.services, second.id))
    finish(held, first)
    ended = held.line.now(first)
    assert held.line.now(second).state is State.HELD
    assert ended.state is State.SUPERSEDED and held.requests(first) == ["void"]
    assert started(held) == 0 and (isinstance(vote, NotAllowed) or held.line.actions(first).count("approval:approved") == 1)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_of_two_that_are_held_at_once_the_newest_waits(held: Held, round_: int) -> None:
    both = [held.line.push("one"), held.line.push("two")]
    for each in both:
        held.line.run(each, Stage.VALIDATE_IDENTITY)
    at_once(*[lambda each=each: authorize(held.line.services, each.id) for each in both])
    assert [held.line.now(each).state for each in both] == [State.SUPERSEDED, State.HELD]


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_what_two_workers_find_changed_is_asked_for_anew_once(held: Held, round_: int) -> None:
    deployment = held.held()
    held.line.policy = CedarPolicy({"a.cedar": POLICY + "// newer\n"})  # type: ignore[assignment]
    both = [lambda: authorize(held.line.services, deployment.id)] * 2
    at_once(*both)
    assert held.requests(deployment) == ["void", "open"]
    assert held.line.actions(deployment).count("deployment:held") == 2
