"""Proposals: whoever proposes does nothing by it, and one person decides about just what was looked at."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.deployment import State, Trigger
from app.domain.errors import BadRequest, Forbidden, NotAllowed, NotFound, RateLimited
from app.domain.proposal import HOLDS, LONGEST_TEXT, ProposalState
from app.pipeline.approve.apply_proposal import apply
from app.pipeline.approve.decide_proposal import accept, reject
from app.pipeline.approve.propose import MOST_WAITING, diff_of, proposal_named, propose_policy, propose_rollback
from tests.pipeline.approvals import POLICY, ROBOT, Held, holding
from tests.pipeline.conftest import Line, environment
from tests.pipeline.proposals import (
    CLEARER,
    FILE,
    OPERATOR,
    WHY,
    audited,
    policy_proposal,
    releases,
    rollback_proposal,
    state,
    written,
)

LONG = HOLDS.total_seconds() + 1


@pytest.fixture
def held(line: Line) -> Held:
    return holding(line)


def test_an_accepted_rollback_is_the_act_of_who_accepted_it(held: Held) -> None:
    first, _ = releases(held, "one", "two")
    made = rollback_proposal(held)
    accepted = accept(held.line.services, made.id, held.in_person("alice"), "I saw it too")
    assert accepted.deployment is not None and accepted.proposal.deployment_id == accepted.deployment.id
    ended = held.line.run(accepted.deployment)
    assert (ended.state, ended.trigger, ended.principal, ended.sha) == (State.SUCCEEDED, Trigger.ROLLBACK, "alice", first.sha)
    assert audited(held) == [("proposal:made", "robot"), ("proposal:accepted", "alice")]


def test_by_accepting_nobody_gets_a_right_that_he_lacks(held: Held) -> None:
    releases(held, "one", "two")
    made = rollback_proposal(held)
    with pytest.raises(Forbidden, match="no policy permits erin to rollback"):
        accept(held.line.services, made.id, held.in_person("erin"))
    assert state(held, made) is ProposalState.OPEN
    with held.line.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM deployments WHERE trigger = 'rollback'").scalar_one() == 0


def test_a_proposal_by_itself_deploys_and_changes_nothing(held: Held) -> None:
    before = releases(held, "one", "two")
    rollback_proposal(held)
    policy_proposal(held)
    with held.line.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM deployments").scalar_one() == len(before)
    assert held.line.services.guard().policy.files[FILE] == POLICY


def test_a_rollback_that_a_newer_release_has_overtaken_is_not_accepted(held: Held) -> None:
    releases(held, "one", "two")
    made = rollback_proposal(held)
    (third,) = releases(held, "three")
    with pytest.raises(NotAllowed, match=f"has released {third.sha[:12]} since this was proposed"):
        accept(held.line.services, made.id, held.in_person("alice"))
    assert state(held, made) is ProposalState.OPEN
    assert reject(held.line.services, made.id, held.in_person("alice")).state is ProposalState.REJECTED


def test_what_was_rolled_back_meanwhile_is_not_rolled_back_again(held: Held) -> None:
    releases(held, "one", "two")
    older, newer = rollback_proposal(held), rollback_proposal(held)
    accepted = accept(held.line.services, older.id, held.in_person("alice"))
    assert accepted.deployment is not None and held.line.run(accepted.deployment).state is State.SUCCEEDED
    with pytest.raises(NotAllowed, match="since this was proposed"):
        accept(held.line.services, newer.id, held.in_person("alice"))


def test_a_rollback_of_an_environment_that_is_gone_is_not_accepted(held: Held) -> None:
    releases(held, "one", "two")
    made = rollback_proposal(held)
    held.line.environments[:] = [environment("staging")]
    with pytest.raises(NotFound, match="no environment production"):
        accept(held.line.services, made.id, held.in_person("alice"))
    assert state(held, made) is ProposalState.OPEN


@pytest.mark.parametrize(
    ("subject", "how", "why"),
    [
        ("carol", {}, "carol answers for robot"),
        ("alice", {"mfa": False}, "second factor"),
        ("alice", {"age": 16 * 60.0}, "second factor"),
        ("alice", {"age": 3601.0}, "older than 60 minutes"),
        ("alice", {"age": -60.0}, "older than 60 minutes"),  # a clock that was set back proves nothing
    ],
)
def test_a_change_of_policies_takes_somebody_else_with_a_fresh_second_factor(
    held: Held, subject: str, how: dict[str, Any], why: str
) -> None:
    made = policy_proposal(held)
    with pytest.raises(Forbidden, match=why):
        accept(held.line.services, made.id, held.in_person(subject, **how))
    assert state(held, made) is ProposalState.OPEN


@pytest.mark.parametrize("gone", ["removed", "inactive"])
def test_where_nobody_knows_who_answers_for_the_proposer_nobody_accepts(held: Held, gone: str) -> None:
    made = policy_proposal(held)
    if gone == "removed":
        held.line.identity.people.pop("gogs:9")
    else:
        held.change("robot", active=False)
    for subject in ("carol", "alice"):
        with pytest.raises(NotAllowed, match="robot, who proposes it, is no longer active"):
            accept(held.line.services, made.id, held.in_person(subject))
    assert state(held, made) is ProposalState.OPEN
    assert reject(held.line.services, made.id, held.in_person("alice")).decided_by == "alice"


def test_nobody_decides_about_ones_own(held: Held) -> None:
    made = propose_policy(held.line.services, held.principal("alice"), FILE, CLEARER, reason=WHY)
    for decide in (accept, reject):
        with pytest.raises(Forbidden, match="another person must decide"):
            decide(held.line.services, made.id, held.in_person("alice"))


def test_an_old_sign_in_does_not_reject(held: Held) -> None:
    made = policy_proposal(held)
    with pytest.raises(Forbidden, match="older than 60 minutes"):
        reject(held.line.services, made.id, held.in_person("alice", age=3601))


def test_what_ran_out_is_not_decided_and_not_applied(held: Held) -> None:
    waits, taken = policy_proposal(held), policy_proposal(held, "// other\n" + CLEARER)
    accept(held.line.services, taken.id, held.in_person("alice"))
    held.line.clock.move(LONG)
    for decide in (accept, reject):
        with pytest.raises(NotAllowed, match="has expired"):
            decide(held.line.services, waits.id, held.in_person("alice"))
    with pytest.raises(NotAllowed, match="has expired"):
        apply(held.line.services, taken.id, OPERATOR, never)


def never(name: str, text: str) -> None:
    raise AssertionError(f"{name} was written")


def test_an_accepted_change_is_applied_once_to_the_policies_it_was_accepted_for(held: Held) -> None:
    made = policy_proposal(held)
    with pytest.raises(NotAllowed, match="is not accepted yet"):
        apply(held.line.services, made.id, OPERATOR, never)
    accept(held.line.services, made.id, held.in_person("alice"))
    applied = apply(held.line.services, made.id, OPERATOR, written(held))
    assert applied.state is ProposalState.APPLIED and held.line.services.guard().policy.files[FILE] == CLEARER
    for again in (
        lambda: apply(held.line.services, made.id, OPERATOR, never),
        lambda: accept(held.line.services, made.id, held.in_person("alice")),
        lambda: reject(held.line.services, made.id, held.in_person("dana")),
    ):
        with pytest.raises(NotAllowed, match="was applied"):
            again()
    assert audited(held)[-1] == ("proposal:applied", "os:root")


def test_other_policies_than_those_it_was_accepted_for_take_another_acceptance(held: Held) -> None:
    made = policy_proposal(held)
    accept(held.line.services, made.id, held.in_person("alice"))
    with pytest.raises(NotAllowed, match="was already accepted by alice"):
        accept(held.line.services, made.id, held.in_person("dana"))
    written(held)("b.cedar", '@id("new") forbid (principal == Principal::"mallory", action, resource);')
    with pytest.raises(NotAllowed, match="the policies have changed since this was accepted"):
        apply(held.line.services, made.id, OPERATOR, never)
    accept(held.line.services, made.id, held.in_person("dana"))
    assert apply(held.line.services, made.id, OPERATOR, written(held)).decided_by == "dana"


def test_a_file_that_cannot_be_written_leaves_the_proposal_accepted(held: Held) -> None:
    made = policy_proposal(held)
    accept(held.line.services, made.id, held.in_person("alice"))

    def full(name: str, text: str) -> None:
        raise NotAllowed(f"{name} cannot be written: no space left on device")

    with pytest.raises(NotAllowed, match="no space left"):
        apply(held.line.services, made.id, OPERATOR, full)
    assert state(held, made) is ProposalState.ACCEPTED
    assert ("proposal:applied", "os:root") not in audited(held)
    assert apply(held.line.services, made.id, OPERATOR, written(held)).state is ProposalState.APPLIED


def test_what_was_written_before_a_crash_is_only_noted(held: Held) -> None:
    made = policy_proposal(held)
    accept(held.line.services, made.id, held.in_person("alice"))
    written(held)(FILE, CLEARER)
    assert apply(held.line.services, made.id, OPERATOR, never).state is ProposalState.APPLIED


def test_an_accepted_change_can_still_be_rejected(held: Held) -> None:
    made = policy_proposal(held)
    accept(held.line.services, made.id, held.in_person("alice"))
    assert reject(held.line.services, made.id, held.in_person("dana")).decided_by == "dana"
    with pytest.raises(NotAllowed, match="was rejected by dana"):
        apply(held.line.services, made.id, OPERATOR, never)


def test_a_change_that_has_become_faulty_meanwhile_is_not_accepted(held: Held) -> None:
    made = policy_proposal(held, '@id("new") forbid (principal == Principal::"mallory", action, resource);', "b.cedar")
    written(held)("c.cedar", '@id("new") forbid (principal == Principal::"mallory", action, resource);')
    with pytest.raises(BadRequest, match="new"):
        accept(held.line.services, made.id, held.in_person("alice"))


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("a.cedar", "permit (", "a.cedar:1"),
        ("a.cedar", "permit (principal, action, resource);", "@id"),
        ("a.cedar", '@id("x") permit (principal, action, resource) when { context.nope };', "nope"),
        ("a.cedar", '@id("x") permit (principal, action, resource) when { ' + "(" * 9000 + "true" + ")" * 9000 + " };", "nested"),
        ("a.cedar", POLICY + "// \N{RIGHT-TO-LEFT OVERRIDE}", "an invisible character"),
        ("a.cedar", POLICY + "// \x00", "an invisible character"),
        ("a.cedar", "/" * (LONGEST_TEXT + 1), "longer than"),
        ("../a.cedar", CLEARER, "is named NAME.cedar"),
        ("a.cedar\n", CLEARER, "is named NAME.cedar"),
        ("/etc/a.cedar", CLEARER, "is named NAME.cedar"),
        ("A.cedar", CLEARER, "is named NAME.cedar"),
    ],
)
def test_a_file_with_faults_is_not_proposed(held: Held, file: str, text: str, why: str) -> None:
    with pytest.raises(BadRequest, match=why):
        policy_proposal(held, text, file)
    assert audited(held) == []


def test_what_is_in_force_already_is_not_proposed(held: Held) -> None:
    with pytest.raises(NotAllowed, match="already in force exactly"):
        policy_proposal(held, POLICY)


@pytest.mark.parametrize("reason", ["", "short", " " * 40, "\x00" * 40])
def test_a_proposal_takes_a_reason_that_somebody_can_read(held: Held, reason: str) -> None:
    releases(held, "one", "two")
    with pytest.raises(BadRequest, match="needs a reason"):
        propose_rollback(held.line.services, ROBOT, "production", None, reason=reason)


@pytest.mark.parametrize("release", ["fffffff", "-------", "%______", "01890000-0000-7000-8000-000000000001"])
def test_a_release_that_there_is_not_is_not_proposed(held: Held, release: str) -> None:
    releases(held, "one", "two")
    with pytest.raises(NotFound, match="no such release"):
        propose_rollback(held.line.services, ROBOT, "production", release, reason=WHY)


def test_with_one_release_there_is_nothing_to_go_back_to(held: Held) -> None:
    releases(held, "one")
    with pytest.raises(NotFound, match="no earlier release"):
        rollback_proposal(held)


def test_a_program_that_proposes_without_end_is_slowed_and_others_are_not(held: Held) -> None:
    with pytest.raises(RateLimited) as limited:
        for number in range(30):
            policy_proposal(held, f"// {number}\n{CLEARER}")
    assert limited.value.retry_after > 0
    propose_policy(held.line.services, held.principal("alice"), FILE, CLEARER, reason=WHY)


def test_of_one_proposer_so_many_wait_and_no_more(held: Held) -> None:
    for number in range(MOST_WAITING):
        policy_proposal(held, f"// {number}\n{CLEARER}")
        held.line.clock.move(61)
    with pytest.raises(NotAllowed, match="already wait"):
        policy_proposal(held)
    held.line.clock.move(LONG)
    policy_proposal(held)


def test_the_difference_is_to_the_file_in_force(held: Held) -> None:
    made = policy_proposal(held)
    diff = diff_of(held.line.services.guard().policy, made)
    assert diff is not None and diff.splitlines()[:2] == ["--- in force/a.cedar", "+++ proposed/a.cedar"]
    assert '+@id("two-people") @reason("somebody else must approve")' in diff
    releases(held, "one", "two")
    assert diff_of(held.line.services.guard().policy, rollback_proposal(held)) is None


@pytest.mark.parametrize("name", ["", "01890", "%", "______", "ffffffffffff"])
def test_a_proposal_that_there_is_not_is_not_found(held: Held, name: str) -> None:
    policy_proposal(held)
    with pytest.raises(NotFound):
        proposal_named(held.line.services, name)
