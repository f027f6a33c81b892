"""The rights that count are those at dispatch (invariant 8), on the real access map: whoever lost them meanwhile is denied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.access import Group, Page
from app.domain.decision import Decision, DecisionRequest, Effect
from app.domain.deployment import Deployment, Stage, State
from app.domain.signature import CommitKey, KeyKind, ObjectKind, SignatureVerdict, SignedObject
from app.pipeline.people.access_map import StoredAccessMap
from app.pipeline.people.commit_key import add_key, revoke_key
from app.pipeline.people.link_by_admin import link_by_admin, unlink_by_admin
from app.pipeline.ports.services import Guard
from tests.fakes import FakePolicy, FakeTarget
from tests.people import PUSHED, access_map, say, somebody
from tests.pipeline.conftest import ALICE, CHARLIE, Line, sha

ROOT_USER = replace(CHARLIE, forge="os", id="root", login="root")


@pytest.fixture
def people(line: Line, folder: Path) -> StoredAccessMap:
    """Alice and bob, whom a directory pushes, with alice's account linked by an administrator."""
    made = access_map(line.engine, folder, None, PUSHED, clock=line.clock)
    line.identity = made  # type: ignore[assignment]
    former = line.services.guard
    line.services = replace(line.services, guard=lambda: replace(former(), identity=made, forges={"gogs": None}))  # type: ignore[dict-item]
    say(made, PUSHED, Page((somebody("alice"), somebody("bob")), (_deployers("id-alice"),)))
    link_by_admin(line.services, ALICE, "alice", ROOT_USER)
    return made


def _deployers(*members: str) -> Group:
    return Group("g1", "deployers", frozenset(members))


def test_a_person_deactivated_between_push_and_dispatch_is_denied_at_dispatch_with_the_reason(
    line: Line, people: StoredAccessMap
) -> None:
    made = line.push("one")
    assert line.run(made, last=Stage.INJECT_TOKEN).state is State.GRANTED
    say(people, PUSHED, Page((somebody("alice", is_active=False),)))
    ended = line.run(made)
    assert (ended.state, ended.reason) == (State.DENIED, "alice is not active: source directory says so")
    assert line.target.started == []
    assert line.actions(made)[-2:] == ["deployment:granted", "deployment:denied"]


@pytest.mark.parametrize("stage", list(Stage)[:3])
def test_a_person_deactivated_after_any_stage_is_denied_at_the_very_next_one_that_asks(
    line: Line, people: StoredAccessMap, stage: Stage
) -> None:
    made = line.push("one")
    line.run(made, last=stage)
    say(people, PUSHED, Page(gone=("id-alice",)))
    ended = line.run(made)
    assert (ended.state, ended.reason) == (State.DENIED, "alice is not active: source directory no longer has this identity")
    assert line.target.started == []


def test_who_left_the_group_meanwhile_is_denied(line: Line, people: StoredAccessMap) -> None:
    made = line.push("one")
    line.run(made, last=Stage.INJECT_TOKEN)
    say(people, PUSHED, Page(groups=(_deployers("id-bob"),)))
    assert line.run(made).state is State.DENIED


def test_an_account_that_was_unlinked_meanwhile_proves_nobody(line: Line, people: StoredAccessMap) -> None:
    made = line.push("one")
    line.run(made, last=Stage.INJECT_TOKEN)
    unlink_by_admin(line.services, ALICE, ROOT_USER)
    ended = line.run(made)
    assert ended.state is State.DENIED and "is not linked to a person" in (ended.reason or "")


class Interrupting(FakePolicy):
    """Lets something happen between a decision and what follows from it."""

    def __init__(self, act: Callable[[], None], times: int) -> None:
        super().__init__()
        self.act, self.times = act, times

    def decide(self, request: DecisionRequest) -> Decision:
        decision = super().decide(request)
        if self.times:
            self.times -= 1
            self.act()
        return decision


def test_rights_that_change_between_the_last_decision_and_the_claim_are_looked_at_again(
    line: Line, people: StoredAccessMap
) -> None:
    made = line.push("one")
    line.run(made, last=Stage.INJECT_TOKEN)
    line.policy = Interrupting(lambda: say(people, PUSHED, Page((somebody("alice", is_active=False),))), times=1)
    ended = line.run(made)
    assert (ended.state, ended.reason) == (State.DENIED, "alice is not active: source directory says so")
    assert line.target.started == []


def test_a_map_that_changes_without_end_holds_a_deployment_back_and_loses_nothing(line: Line, people: StoredAccessMap) -> None:
    made = line.push("one")
    line.run(made, last=Stage.INJECT_TOKEN)
    count = iter(range(10_000))
    line.policy = Interrupting(lambda: say(people, PUSHED, Page((somebody(f"p{next(count)}"),))), times=25)
    waiting = line.run(made)
    assert (waiting.state, waiting.reason) == (State.GRANTED, "waiting for the access map, which keeps changing")
    assert line.run(made).state is State.SUCCEEDED


def test_whose_an_email_is_counts_as_it_is_at_dispatch(line: Line, people: StoredAccessMap) -> None:
    line.repositories.emails = ["bob@example.com"]
    made = line.push("one")
    line.run(made, last=Stage.INJECT_TOKEN)
    assert line.policy.asked[-1].context["authors_known"] is True
    say(people, PUSHED, Page((somebody("bob", is_active=False),)))
    line.run(made)
    assert line.policy.asked[-1].context["authors_known"] is False
    assert line.policy.asked[-1].context["unknown_authors"] == ["bob@example.com"]


def _signed(line: Line, made: Deployment, subject: str | None, verdict: SignatureVerdict) -> None:
    line.repositories.signed[made.sha] = SignedObject(made.sha, ObjectKind.COMMIT, "alice@example.com", verdict, subject, "f1")


@pytest.mark.parametrize(
    ("subject", "verdict", "expected"),
    [
        ("alice", SignatureVerdict.GOOD, "all"),
        ("bob", SignatureVerdict.GOOD, "none"),
        (None, SignatureVerdict.UNKNOWN_KEY, "none"),
        (None, SignatureVerdict.UNSIGNED, "none"),
        ("alice", SignatureVerdict.BAD, "bad"),
    ],
)
def test_policy_is_told_what_the_signatures_come_to(
    line: Line, people: StoredAccessMap, subject: str | None, verdict: SignatureVerdict, expected: str
) -> None:
    add_key(line.services, CommitKey("", "alice", KeyKind.SSH, "ssh-ed25519 A", "f1", is_revoked=False), ROOT_USER)
    made = line.push("one")
    _signed(line, made, subject, verdict)
    assert line.run(made).state is State.SUCCEEDED
    assert {asked.context["signatures"] for asked in line.policy.asked} == {expected}
    result = line.result(made, Stage.VALIDATE_IDENTITY)
    assert result is not None and bool(result.detail["unsigned"]) is (expected != "all")


def test_without_keys_nothing_is_verified_and_nothing_counts_as_signed(line: Line, people: StoredAccessMap) -> None:
    made = line.push("one")
    _signed(line, made, "alice", SignatureVerdict.GOOD)
    line.run(made)
    assert {asked.context["signatures"] for asked in line.policy.asked} == {"none"}


def test_a_key_that_is_revoked_meanwhile_counts_as_revoked(line: Line, people: StoredAccessMap) -> None:
    add_key(line.services, CommitKey("", "alice", KeyKind.SSH, "ssh-ed25519 A", "f1", is_revoked=False), ROOT_USER)
    made = line.push("one")
    _signed(line, made, "alice", SignatureVerdict.GOOD)
    line.run(made, last=Stage.INJECT_TOKEN)
    revoke_key(line.services, "f1", ROOT_USER)
    _signed(line, made, "alice", SignatureVerdict.BAD)
    line.run(made)
    assert [asked.context["signatures"] for asked in line.policy.asked] == ["all", "bad"]


def test_going_back_verifies_the_commit_that_is_brought_back(line: Line, people: StoredAccessMap) -> None:
    from app.pipeline.line.rollback import rollback

    add_key(line.services, CommitKey("", "alice", KeyKind.SSH, "ssh-ed25519 A", "f1", is_revoked=False), ROOT_USER)
    first = line.push("one")
    _signed(line, first, "alice", SignatureVerdict.GOOD)
    line.run(first)
    line.run(line.push("two"))
    line.run(rollback(line.services, "production", None, ALICE))
    assert [(a.action.value, a.context["sha"], a.context["signatures"]) for a in line.policy.asked][-1] == (
        "rollback",
        sha("one"),
        "all",
    )


def test_who_lost_the_right_while_a_worker_was_away_starts_no_second_target(line: Line, people: StoredAccessMap) -> None:
    second = FakeTarget()
    line.targets["second"] = second
    line.environments[0] = replace(line.environments[0], targets=("box", "second"))
    made = line.push("one")
    line.target.on_start = lambda: say(people, PUSHED, Page((somebody("alice", is_active=False),)))
    ended = line.run(made)
    assert (ended.state, second.started) == (State.FAILED, [])
    assert "alice is not active" in (ended.reason or "")


def test_rules_that_change_between_the_last_decision_and_the_claim_are_asked(line: Line, people: StoredAccessMap) -> None:
    made = line.push("one")
    line.run(made, last=Stage.INJECT_TOKEN)
    former, digests = line.services.guard, iter(["old", "old", "new", "new", "new", "new"])
    nobody = FakePolicy()
    nobody.decide = lambda request: Decision(Effect.DENY, (), "the new rules say no", "n", {})  # type: ignore[method-assign]

    def guard() -> Guard:
        digest = next(digests, "new")
        return replace(former(), digest=digest, policy=line.policy if digest == "old" else nobody)

    line.services = replace(line.services, guard=guard)
    ended = line.run(made)
    assert (ended.state, ended.reason) == (State.DENIED, "the new rules say no")


def test_evidence_that_is_a_minute_old_is_gathered_again(line: Line, people: StoredAccessMap) -> None:
    made = line.push("one")
    line.run(made, last=Stage.INJECT_TOKEN)
    line.repositories.emails = ["eve@example.com"]
    line.clock.move(61)
    line.run(made)
    assert [asked.context["authors_known"] for asked in line.policy.asked] == [True, False]
