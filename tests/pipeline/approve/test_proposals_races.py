"""Proposals that several people decide about, or apply, at the same moment, on a real Postgres: one of them does."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from app.domain.errors import GateError, NotAllowed
from app.domain.proposal import Proposal
from app.pipeline.approve.apply_proposal import apply
from app.pipeline.approve.decide_proposal import Acceptance, accept, reject
from app.pipeline.approve.propose import MOST_WAITING
from tests.pipeline.approvals import Held, holding
from tests.pipeline.conftest import Line
from tests.pipeline.proposals import (
    CLEARER,
    FILE,
    OPERATOR,
    audited,
    policy_proposal,
    releases,
    rollback_proposal,
    state,
    written,
)


@pytest.fixture
def held(line: Line) -> Held:
    return holding(line)


def together(*acts: Callable[[], Any]) -> list[Any]:
    """Do all at once; return what each came to, a refusal of the gate too."""
    meet = Barrier(len(acts), timeout=20)

    def go(act: Callable[[], Any]) -> Any:
        meet.wait()
        try:
            return act()
        except GateError as fault:
            return fault

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(go, acts))


def refused(outcomes: list[Any]) -> list[Any]:
    return [each for each in outcomes if isinstance(each, GateError)]


def test_at_once_no_more_wait_than_may(held: Held) -> None:
    for number in range(MOST_WAITING - 1):
        policy_proposal(held, f"// {number}\n{CLEARER}")
        held.line.clock.move(61)
    held.line.clock.move(600)
    outcomes = together(*[lambda n=n: policy_proposal(held, f"// at once {n}\n{CLEARER}") for n in range(4)])
    assert len(refused(outcomes)) == 3 and all(isinstance(each, NotAllowed) for each in refused(outcomes))


def test_of_two_who_accept_a_rollback_at_once_one_does_and_it_is_planned_once(held: Held) -> None:
    releases(held, "one", "two")
    made = rollback_proposal(held)
    for subject in ("bob", "dana", "carol"):
        held.change(subject, groups=frozenset({"deployers"}))
    people = [held.in_person(subject) for subject in ("alice", "bob", "dana", "carol")]
    outcomes = together(*[lambda who=who: accept(held.line.services, made.id, who) for who in people])
    (accepted,) = [each for each in outcomes if isinstance(each, Acceptance)]
    assert all(isinstance(each, NotAllowed) and "was accepted by" in str(each) for each in refused(outcomes))
    with held.line.engine.connect() as connection:
        planned = connection.exec_driver_sql("SELECT id::text FROM deployments WHERE trigger = 'rollback'").scalars().all()
    assert accepted.deployment is not None and planned == [accepted.deployment.id]
    assert [action for action, _ in audited(held)].count("proposal:accepted") == 1


@pytest.mark.parametrize("kind", [rollback_proposal, policy_proposal])
def test_accepted_and_rejected_at_once_it_ends_as_one_of_them(held: Held, kind: Callable[[Held], Proposal]) -> None:
    releases(held, "one", "two")
    made = kind(held)
    held.change("bob", groups=frozenset({"deployers", "leads"}))
    alice, bob = held.in_person("alice"), held.in_person("bob")
    outcomes = together(lambda: accept(held.line.services, made.id, alice), lambda: reject(held.line.services, made.id, bob))
    said = [action.partition(":")[2] for action, _ in audited(held) if action != "proposal:made"]
    assert len(said) == 2 - len(refused(outcomes)) and said[-1] == state(held, made).value
    if kind is rollback_proposal:
        assert len(said) == 1
    with held.line.engine.connect() as connection:
        planned = connection.exec_driver_sql("SELECT count(*) FROM deployments WHERE trigger = 'rollback'").scalar_one()
    assert planned == (kind is rollback_proposal and said == ["accepted"])


def test_two_who_apply_at_once_write_once(held: Held) -> None:
    made = policy_proposal(held)
    accept(held.line.services, made.id, held.in_person("alice"))
    files: list[str] = []
    write = written(held)

    def noted(name: str, text: str) -> None:
        files.append(name)
        write(name, text)

    outcomes = together(*[lambda: apply(held.line.services, made.id, OPERATOR, noted) for _ in range(3)])
    assert len(refused(outcomes)) == 2 and files == [FILE]


def test_of_two_changes_for_the_same_policies_one_is_applied(held: Held) -> None:
    """The second was looked at beside the former policies: it is accepted anew."""
    both = [policy_proposal(held, f"// {word}\n{CLEARER}") for word in ("one", "two")]
    for made in both:
        accept(held.line.services, made.id, held.in_person("alice"))
    outcomes = together(*[lambda made=made: apply(held.line.services, made.id, OPERATOR, written(held)) for made in both])
    (fault,) = refused(outcomes)
    assert isinstance(fault, NotAllowed) and "the policies have changed" in str(fault)
