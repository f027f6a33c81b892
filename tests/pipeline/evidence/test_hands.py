"""Who pushed a commit had a hand in it, whatever its e-mails say; and where nobody knows, nobody is uninvolved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.deployment import State
from app.domain.errors import Forbidden
from app.domain.event import Account, Event, EventKind
from app.integrations.policy.cedar import CedarPolicy
from tests.integrations.repositories.test_mirror import Origin
from tests.pipeline.approvals import POLICY, Held, holding
from tests.pipeline.conftest import ALICE, BOB, REPOSITORY, Line
from tests.pipeline.evidence.cast import check, found, merge, push, push_aside
from tests.pipeline.evidence.test_committer import with_committer

DANA = Account("gogs", "5", "dana")
STRANGER = Account("gogs", "99", "mallory")
TOPIC = "refs/heads/topic"
OPEN = POLICY.replace("unless { context.approvals.met }", 'when { context.event == "x" }')
CHIEFS = """
@id("chiefs") permit (principal == Principal::"bob", action == Action::"approve", resource)
when { !context.involved_known };
"""


@pytest.fixture
def held(gate: Line, origin: Origin) -> Held:
    """A production that waits for approvals, in which a first commit stands."""
    holding(gate)
    base = origin.commit("base")
    gate.policy = CedarPolicy({"a.cedar": OPEN})  # type: ignore[assignment]
    assert gate.run(push(gate, None, base)).state is State.SUCCEEDED
    return holding(gate)


def test_invariant_12_who_pushed_it_earlier_cannot_approve_what_somebody_pushes_on_top(held: Held, origin: Origin) -> None:
    line = held.line
    hers = origin.commit("hers")  # written, by its own word, by alice
    first = line.run(push(line, None, hers, actor=DANA))
    line.identity.people["gogs:5"] = held.principal("dana")
    typo = origin.commit("typo")
    second = line.run(push(line, hers, typo))
    assert second.state is State.HELD, (first.reason, second.reason)
    with pytest.raises(Forbidden, match="dana was involved in it"):
        held.vote(second, "dana")
    held.vote(second, "bob")
    assert held.resumed(second).state is State.SUCCEEDED


def test_who_pushed_a_topic_cannot_approve_it_when_another_merges_it(held: Held, origin: Origin) -> None:
    line, base = held.line, origin.git("rev-parse", "HEAD")
    origin.git("checkout", "-q", "-b", "topic")
    origin.commit("one", branch="topic")
    tip = origin.commit("two", branch="topic")
    push_aside(line, None, tip, TOPIC, DANA)
    waiting = line.run(push(line, base, merge(origin, "topic", committer="alice@example.com")))
    assert waiting.state is State.HELD
    with pytest.raises(Forbidden, match="dana was involved in it"):
        held.vote(waiting, "dana")
    held.vote(waiting, "bob")


def test_the_account_that_a_check_saw_counts_on_any_ref(held: Held, origin: Origin) -> None:
    line, base = held.line, origin.git("rev-parse", "HEAD")
    one = origin.commit("one")
    check(line, one, base, ref=TOPIC, account="gogs:5")  # its delivery was lost
    waiting = line.run(push(line, base, one))
    with pytest.raises(Forbidden, match="dana was involved in it"):
        held.vote(waiting, "dana")


def test_a_commit_that_came_by_no_known_push_is_in_nobodys_favour(held: Held, origin: Origin) -> None:
    line = held.line
    lost = origin.commit("lost")  # pushed while the gate was away
    waiting = line.run(push(line, lost, origin.commit("next")))
    assert waiting.state is State.HELD
    with pytest.raises(Forbidden, match=f"it is not known who pushed commit {lost[:12]}, and it is not signed"):
        held.vote(waiting, "bob")


def test_a_policy_may_settle_what_is_not_known(held: Held, origin: Origin) -> None:
    line = held.line
    line.policy = CedarPolicy({"a.cedar": POLICY + CHIEFS})  # type: ignore[assignment]
    waiting = line.run(push(line, origin.commit("lost"), origin.commit("next")))
    held.vote(waiting, "bob")
    assert held.resumed(waiting).state is State.SUCCEEDED


def test_an_account_that_is_linked_to_nobody_may_be_anybodys(held: Held, origin: Origin) -> None:
    line, base = held.line, origin.git("rev-parse", "HEAD")
    one = origin.commit("one")
    push_aside(line, base, one, TOPIC, STRANGER)
    waiting = line.run(push(line, one, origin.commit("two")))
    with pytest.raises(Forbidden, match="account gogs:99 pushed some of it and is not linked to a person"):
        held.vote(waiting, "bob")


def test_what_the_forge_merges_in_its_pages_must_have_come_by_a_push(gate: Line, origin: Origin) -> None:
    """As from a fork, whose pushes no webhook tells: Gogs says that the merge began at the merge base."""
    gate.services = with_committer(gate)
    base = origin.commit("base")
    assert gate.run(push(gate, None, base)).state is State.SUCCEEDED
    origin.git("checkout", "-q", "-b", "topic")
    fork = origin.commit("fork", branch="topic")
    merged = merge(origin, "topic")
    evidence = found(gate, push(gate, base, merged, actor=ALICE))
    assert not evidence["involved_known"] and evidence["unpushed"] == [fork]
    push_aside(gate, None, merged, "refs/heads/release-1", BOB)
    evidence = found(gate, push(gate, merged, origin.commit("next"), actor=ALICE))
    assert evidence["unpushed"] == [fork], "a new branch on it does not say who brought it"


def test_a_forced_push_that_keeps_some_of_another_persons_push_names_that_person(gate: Line, origin: Origin) -> None:
    base = origin.commit("base")
    assert gate.run(push(gate, None, base)).state is State.SUCCEEDED
    gate.identity.people["gogs:5"] = gate.identity.people["gogs:3"]
    kept = origin.commit("kept")
    left = origin.commit("left")
    push_aside(gate, base, left, TOPIC, DANA)
    origin.git("reset", "-q", "--hard", kept)
    evidence = found(gate, push(gate, left, origin.commit("instead")))
    assert evidence["involved_known"] and "bob" in evidence["involved"]


def test_everybody_who_brought_what_a_forced_push_left_behind_had_a_hand_in_what_it_keeps(gate: Line, origin: Origin) -> None:
    """A second push of the same commit, such as a new branch on it, does not take the place of the first one's account."""
    base = origin.commit("base")
    assert gate.run(push(gate, None, base)).state is State.SUCCEEDED
    gate.identity.people["gogs:5"] = replace(gate.identity.people["gogs:3"], subject="dana")
    kept = origin.commit("kept")
    left = origin.commit("left")
    push_aside(gate, base, left, TOPIC, DANA)
    push_aside(gate, None, left, "refs/heads/copy", BOB)
    origin.git("reset", "-q", "--hard", kept)
    evidence = found(gate, push(gate, left, origin.commit("instead")))
    assert evidence["involved_known"] and {"bob", "dana"} <= set(evidence["involved"])


@pytest.mark.parametrize(("name", "is_known"), [("mallory/own", False), ("Acme/SHOP", True)])
def test_a_delivery_of_another_repository_says_nothing_about_this_one_whatever_number_it_names(
    gate: Line, origin: Origin, name: str, *, is_known: bool
) -> None:
    """Its secret is good for the name that it gives; the number in the body is its sender's word."""
    base = origin.commit("base")
    assert gate.run(push(gate, None, base)).state is State.SUCCEEDED
    lost = origin.commit("lost")
    elsewhere = replace(REPOSITORY, full_name=name)
    gate.deliver(Event(EventKind.PUSH, elsewhere, TOPIC, base, lost, BOB))
    evidence = found(gate, push(gate, lost, origin.commit("next")))
    assert evidence["involved_known"] == is_known and evidence["unpushed"] == ([] if is_known else [lost])
