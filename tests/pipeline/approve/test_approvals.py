"""Waiting for other people's approvals, on a real Postgres: who counts, until when, and what ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.approval import ApprovalRule, ApprovalSettings, Verdict
from app.domain.deployment import Progress, Stage, State, Trigger
from app.domain.errors import Forbidden, NotAllowed, NotFound, RateLimited
from app.domain.event import Account
from app.integrations.policy.cedar import CedarPolicy
from app.integrations.targets.protocol import Report
from app.pipeline.intake.sweep import sweep
from app.pipeline.line.authorize import authorize
from app.store.reads import Reads
from tests.pipeline.approvals import PEOPLE, POLICY, Held, holding
from tests.pipeline.conftest import BOB, Line, environment, sha


@pytest.fixture
def held(line: Line) -> Held:
    return holding(line)


def test_what_needs_approvals_waits_and_goes_on_with_the_last_vote(held: Held) -> None:
    deployment = held.held()
    why = 'waits for approvals: forbidden by "two-people" (another person must approve); it takes 1 more'
    assert deployment.reason is not None and deployment.reason.startswith(f"{why}; until 20")
    held.vote(deployment, "bob")
    assert held.line.wakes.runs[-1].stage is Stage.CHECK_PERMISSION
    assert held.resumed(deployment).state is State.SUCCEEDED
    actions = [each for each in held.line.actions(deployment) if each != "deployment:granted"]
    assert actions == [
        "deployment:planned",
        "deployment:identified",
        "deployment:held",
        "approval:approved",
        "deployment:permitted",
        "deployment:dispatching",
        "deployment:dispatched",
        "deployment:succeeded",
    ]
    assert held.requests(deployment) == ["granted"]


def test_looking_again_without_a_vote_changes_nothing(held: Held) -> None:
    deployment = held.held()
    before = held.line.actions(deployment)
    assert authorize(held.line.services, deployment.id).goes_on is False
    assert held.line.actions(deployment) == before and held.requests(deployment) == ["open"]


def test_votes_are_limited_in_rate_before_git_is_asked_and_others_are_not_held_up(held: Held) -> None:
    deployment = held.held()
    for _ in range(30):
        with pytest.raises(Forbidden):
            held.vote(deployment, "erin")
    held.line.repositories.fault = RuntimeError("git was asked")
    with pytest.raises(RateLimited, match="erin has voted too often"):
        held.vote(deployment, "erin")
    held.line.repositories.fault = None
    held.vote(deployment, "bob")
    assert held.resumed(deployment).state is State.SUCCEEDED


def test_a_reject_ends_it(held: Held) -> None:
    deployment = held.held()
    held.vote(deployment, "bob", Verdict.REJECT)
    ended = held.line.now(deployment)
    assert (ended.state, ended.reason) == (State.DENIED, "rejected by bob")
    assert held.requests(deployment) == ["rejected"]
    with pytest.raises(NotAllowed, match="does not wait for approvals; it is denied: rejected by bob"):
        held.vote(deployment, "dana")


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        ("alice", "alice was involved in it"),  # she asked for it, and wrote it
        ("erin", 'no policy permits erin to approve to production .* policies that could: "leads-approve"'),
        ("robot", "only people approve"),
    ],
)
def test_who_may_not_vote_is_told_why(held: Held, subject: str, why: str) -> None:
    deployment = held.held()
    with pytest.raises(Forbidden, match=why):
        held.vote(deployment, subject)
    assert held.line.now(deployment).state is State.HELD


def test_a_commits_author_cannot_approve_what_somebody_else_pushed(held: Held) -> None:
    held.line.repositories.emails = ["bob@example.com"]
    deployment = held.held()
    with pytest.raises(Forbidden, match="bob was involved in it"):
        held.vote(deployment, "bob")


def test_who_answers_for_an_agent_cannot_approve_what_it_pushes(held: Held) -> None:
    held.line.repositories.emails = ["robot@example.com"]
    deployment = held.line.run(held.line.push("one", actor=Account("gogs", "9", "robot")))
    assert deployment.state is State.HELD
    with pytest.raises(Forbidden, match="carol was involved in it"):
        held.vote(deployment, "carol")
    held.vote(deployment, "bob")


def test_who_answers_for_an_agent_that_wrote_a_commit_cannot_approve_it(held: Held) -> None:
    held.line.repositories.emails = ["alice@example.com", "robot@example.com"]
    with pytest.raises(Forbidden, match="carol was involved in it"):
        held.vote(held.held(), "carol")


def test_a_vote_takes_a_fresh_sign_in(held: Held) -> None:
    deployment = held.held()
    with pytest.raises(Forbidden, match="the sign-in is older than 60 minutes: sign in again"):
        held.vote(deployment, "bob", age=3601)
    with pytest.raises(Forbidden, match="older than"):
        held.vote(deployment, "bob", age=-5)  # a clock that was set back
    held.vote(deployment, "bob", age=3599)


def test_a_person_votes_once(held: Held) -> None:
    held.configure(ApprovalSettings((ApprovalRule(2),)))
    deployment = held.held()
    held.vote(deployment, "bob")
    assert held.resumed(deployment).state is State.HELD
    for verdict in Verdict:
        with pytest.raises(NotAllowed, match="bob has already voted on this"):
            held.vote(deployment, "bob", verdict)
    held.vote(deployment, "dana")
    assert held.resumed(deployment).state is State.SUCCEEDED


def test_a_deployment_that_nobody_approves_in_time_is_denied(held: Held) -> None:
    deployment = held.held()
    held.line.clock.move(3601)
    with pytest.raises(NotAllowed, match="the request has expired"):
        held.vote(deployment, "bob")
    ended = held.resumed(deployment)
    assert ended.state is State.DENIED and ended.reason is not None
    assert ended.reason.startswith("it was not approved in time (1:00:00)")
    assert held.requests(deployment) == ["expired"]


def test_a_newer_push_voids_what_waits(held: Held) -> None:
    first, second = held.held("one"), held.held("two")
    ended = held.line.now(first)
    assert (ended.state, ended.reason) == (State.SUPERSEDED, f"superseded by {second.id}")
    assert held.requests(first) == ["void"]
    with pytest.raises(NotAllowed, match="does not wait for approvals; it is superseded"):
        held.vote(first, "bob")


def test_a_newer_push_that_is_denied_voids_nothing(held: Held) -> None:
    first = held.held("one")
    assert held.line.run(held.line.push("two", actor=BOB)).state is State.DENIED
    assert held.line.now(first).state is State.HELD


def test_a_newer_one_that_needs_no_approvals_takes_the_place_of_what_waits(held: Held) -> None:
    first = held.held("one")
    held.line.policy = CedarPolicy({"a.cedar": POLICY.replace("context.approvals.met", "true")})  # type: ignore[assignment]
    assert held.line.run(held.line.push("two")).state is State.SUCCEEDED
    assert held.line.now(first).state is State.SUPERSEDED and held.requests(first) == ["void"]


def test_an_approval_that_comes_after_a_newer_one_was_deployed_starts_nothing(held: Held) -> None:
    first = held.line.push("one")
    second = held.line.push("two")
    held.line.run(second)
    held.vote(second, "bob")
    assert held.resumed(second).state is State.SUCCEEDED
    late = held.line.run(first)
    assert late.state is State.HELD
    held.vote(late, "bob")
    assert held.resumed(late).state is State.SUPERSEDED
    assert [order.sha for order in held.line.target.started] == [sha("two")]


def test_votes_fall_with_the_version_of_the_policies_and_are_asked_for_anew(held: Held) -> None:
    held.configure(ApprovalSettings((ApprovalRule(2),)))
    deployment = held.held()
    held.vote(deployment, "bob")
    held.line.policy = CedarPolicy({"a.cedar": POLICY + "\n// another version\n"})  # type: ignore[assignment]
    with pytest.raises(NotAllowed, match="the request has changed"):
        held.vote(deployment, "dana")
    assert held.resumed(deployment).state is State.HELD
    assert held.requests(deployment) == ["void", "open"]
    held.vote(deployment, "dana")
    assert held.resumed(deployment).state is State.HELD  # bob's was for something else
    held.vote(deployment, "bob")
    assert held.resumed(deployment).state is State.SUCCEEDED


def test_votes_fall_with_the_set_of_targets(held: Held) -> None:
    deployment = held.held()
    held.line.targets["other"] = held.line.target
    held.line.environments[:] = [environment(targets=("box", "other"))]
    with pytest.raises(NotAllowed, match="the request has changed"):
        held.vote(deployment, "bob")
    held.resumed(deployment)
    assert held.requests(deployment) == ["void", "open"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"active": False, "why_inactive": "source okta says so"}, "bob (is no longer active)"),
        ({"groups": frozenset()}, "bob (no policy permits bob to approve to production"),
    ],
)
def test_a_vote_falls_when_its_voter_loses_the_right_before_dispatch(held: Held, change: dict[str, object], why: str) -> None:
    deployment = held.held()
    held.vote(deployment, "bob")
    assert held.resumed(deployment, Stage.INJECT_TOKEN).state is State.GRANTED
    held.change("bob", **change)
    ended = held.resumed(deployment)
    assert ended.state is State.DENIED and ended.reason is not None and f"votes that no longer count: {why}" in ended.reason
    assert held.line.target.started == []


def test_a_vote_falls_while_others_are_waited_for(held: Held) -> None:
    held.configure(ApprovalSettings((ApprovalRule(2),)))
    deployment = held.held()
    held.vote(deployment, "bob")
    held.change("bob", active=False)
    held.vote(deployment, "dana")
    assert held.resumed(deployment).state is State.HELD


def test_a_vote_is_worth_nothing_after_its_time(held: Held) -> None:
    deployment = held.held()
    held.vote(deployment, "bob")
    assert held.resumed(deployment, Stage.INJECT_TOKEN).state is State.GRANTED
    held.line.clock.move(3601)
    ended = held.resumed(deployment)
    assert ended.state is State.DENIED and ended.reason is not None and "bob (the vote is too old)" in ended.reason


def test_all_rules_must_be_met_by_people_of_their_groups(held: Held) -> None:
    held.line.identity.people["gogs:5"] = replace(PEOPLE["gogs:5"], groups=frozenset({"leads", "database"}))
    held.configure(ApprovalSettings((ApprovalRule(1, frozenset({"leads"})), ApprovalRule(1, frozenset({"database"})))))
    deployment = held.held()
    held.vote(deployment, "bob")
    waiting = held.resumed(deployment)
    assert waiting.state is State.HELD and waiting.reason is not None and "it takes 1 more of database; until " in waiting.reason
    held.vote(deployment, "dana")
    assert held.resumed(deployment).state is State.SUCCEEDED


def test_a_policy_may_ask_for_the_group_of_who_approves(held: Held) -> None:
    asks = POLICY.replace("context.approvals.met", 'context.approvals.groups.contains("database")')
    held.line.policy = CedarPolicy({"a.cedar": asks})  # type: ignore[assignment]
    held.line.identity.people["gogs:5"] = replace(PEOPLE["gogs:5"], groups=frozenset({"leads", "database"}))
    deployment = held.held()
    held.vote(deployment, "bob")
    assert held.resumed(deployment).state is State.HELD
    held.vote(deployment, "dana")
    assert held.resumed(deployment).state is State.SUCCEEDED


def test_a_lost_wake_costs_time_only(held: Held) -> None:
    deployment = held.held()
    held.vote(deployment, "bob")
    held.line.wakes.runs.clear()
    held.line.clock.move(11)
    sweep(held.line.services)
    assert [wake.stage for wake in held.line.wakes.runs] == [Stage.CHECK_PERMISSION]


def test_who_waits_for_approvals_takes_no_place_from_others(held: Held) -> None:
    first = held.held("one")
    for n in range(6):
        held.line.push(f"more {n}", actor=BOB)
    assert held.line.now(first).state is State.HELD
    with held.line.engine.connect() as connection:
        query = "SELECT count(*) FROM deployments WHERE state = 'planned' AND due_at IS NOT NULL"
        assert connection.exec_driver_sql(query).scalar_one() == held.line.services.limits.window


def test_the_gates_own_redeployment_waits_for_nobody(held: Held) -> None:
    asks = POLICY + '@id("slow") forbid (principal, action == Action::"rollback", resource) unless { context.approvals.met };'
    held.line.policy = CedarPolicy({"a.cedar": asks})  # type: ignore[assignment]
    for word in ("good", "bad"):
        deployment = held.held(word)
        held.vote(deployment, "bob")
        if word == "bad":
            held.line.target.answers = [Report(Progress.FAILED, "broken")]
        held.resumed(deployment)
    again = Reads(held.line.engine).deployments(1)[0]
    assert (again.trigger, again.state) == (Trigger.FAILURE, State.DENIED) and again.reason is not None
    assert again.reason.startswith("an automatic redeployment does not wait for approvals: waits for approvals: ")


def test_voting_on_what_is_not_there_or_does_not_wait_says_so(held: Held) -> None:
    with pytest.raises(NotFound):
        held.vote(replace(held.held(), id="00000000-0000-7000-8000-000000000000"), "bob")
    planned = held.line.push("two")
    with pytest.raises(NotAllowed, match="it is planned"):
        held.vote(planned, "bob")


VOTES = st.lists(
    st.tuples(st.sampled_from(sorted({who.subject for who in PEOPLE.values()})), st.sampled_from(list(Verdict))), max_size=6
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(votes=VOTES, author=st.sampled_from(["alice", "bob", "dana", "robot"]), by_robot=st.booleans())
def test_no_sequence_of_votes_lets_who_had_a_hand_in_it_count(
    held: Held, votes: list[tuple[str, Verdict]], author: str, by_robot: bool
) -> None:
    held.line.clock.move(60)  # votes are limited in rate
    held.line.repositories.emails = [f"{author}@example.com"]
    actor = Account("gogs", "9", "robot") if by_robot else Account("gogs", "2", "alice")
    deployment = held.line.run(held.line.push(held.line.services.ids.new(), actor=actor))
    hands = {author, "robot", "carol"} if by_robot else {author, "alice"} | ({"carol"} if author == "robot" else set())
    taken: list[Verdict] = []
    for subject, verdict in votes:
        try:
            held.vote(deployment, subject, verdict)
        except (Forbidden, NotAllowed):
            continue
        assert subject in {"alice", "bob", "dana", "carol"} - hands
        taken.append(verdict)
        held.resumed(deployment, Stage.CHECK_PERMISSION)
    expected = {(): State.HELD, (Verdict.APPROVE,): State.PERMITTED, (Verdict.REJECT,): State.DENIED}
    assert held.line.now(deployment).state is expected[tuple(taken)]  # one is enough here, and then no more is taken


def test_votes_hold_as_long_as_the_environment_says(held: Held) -> None:
    held.configure(ApprovalSettings(within=timedelta(minutes=5)))
    deployment = held.held()
    held.line.clock.move(299)
    held.vote(deployment, "bob")
    held.line.clock.move(2)
    assert held.resumed(deployment).state is State.SUCCEEDED  # the request is over, the vote is not
