"""`checked_at_push` speaks of everything that the deployment brings, not of its tip."""

from __future__ import annotations

from app.domain.push import CheckedPush
from tests.integrations.repositories.test_mirror import Origin
from tests.pipeline.conftest import REPOSITORY, Line
from tests.pipeline.evidence.cast import check, found, merge, push, released

TOPIC = "refs/heads/topic"


def base_released(gate: Line, origin: Origin) -> str:
    """Release a first commit, which no check has seen."""
    base = origin.commit("base")
    released(gate, push(gate, None, base))
    return base


def test_invariant_12_what_was_merged_unchecked_is_not_checked_by_the_next_push(gate: Line, origin: Origin) -> None:
    base = base_released(gate, origin)
    origin.git("checkout", "-q", "-b", "topic")
    leak = origin.commit("leak", branch="topic")
    merged = merge(origin, "topic")
    evidence = found(gate, push(gate, base, merged))
    assert not evidence["checked_at_push"] and set(evidence["unchecked"]) == {leak, merged}
    harmless = origin.commit("harmless")
    check(gate, harmless, merged)
    evidence = found(gate, push(gate, merged, harmless))
    assert not evidence["checked_at_push"] and set(evidence["unchecked"]) == {leak, merged}
    assert evidence["let_onto_ref"], "a check let the tip onto its ref, but did not look at what lies below"


def test_a_push_that_was_checked_since_the_release_is_checked(gate: Line, origin: Origin) -> None:
    base = base_released(gate, origin)
    origin.commit("one")
    two = origin.commit("two")
    check(gate, two, base)
    assert found(gate, push(gate, base, two))["checked_at_push"]


def test_pushes_that_were_checked_one_after_the_other_are_checked(gate: Line, origin: Origin) -> None:
    base = base_released(gate, origin)
    one, two, three = (origin.commit(name) for name in ("one", "two", "three"))
    for sha, before in ((one, base), (two, one), (three, two)):
        check(gate, sha, before)
    assert found(gate, push(gate, two, three))["checked_at_push"]


def test_a_topic_that_was_checked_elsewhere_and_merged_by_a_checked_push_is_checked(gate: Line, origin: Origin) -> None:
    base = base_released(gate, origin)
    origin.git("checkout", "-q", "-b", "topic")
    tip = origin.commit("topic", branch="topic")
    check(gate, tip, base, ref=TOPIC)
    merged = merge(origin, "topic", committer="alice@example.com")
    check(gate, merged, tip, base)
    assert found(gate, push(gate, base, merged))["checked_at_push"]


def test_a_check_of_another_ref_does_not_let_a_commit_onto_this_one(gate: Line, origin: Origin) -> None:
    base = base_released(gate, origin)
    one = origin.commit("one")
    check(gate, one, base, ref=TOPIC)
    evidence = found(gate, push(gate, base, one))
    assert not evidence["checked_at_push"] and evidence["unchecked"] == [] and not evidence["let_onto_ref"]


def test_a_check_that_does_not_say_what_it_compared_with_vouches_for_its_commit_alone(gate: Line, origin: Origin) -> None:
    base = base_released(gate, origin)
    one, two = origin.commit("one"), origin.commit("two")
    row = (REPOSITORY.forge, REPOSITORY.id, "refs/heads/main", two, gate.services.ids.new(), gate.clock.now(), base)
    with gate.services.store.unit() as unit:
        unit.pushes.keep([CheckedPush(*row)])
    assert found(gate, push(gate, base, two))["unchecked"] == [one]
    check(gate, one, base)
    assert found(gate, push(gate, base, origin.commit("three")))["unchecked"] != []


def test_a_forced_push_is_checked_if_what_it_left_behind_was(gate: Line, origin: Origin) -> None:
    base = base_released(gate, origin)
    kept = origin.commit("kept")
    left = origin.commit("left")
    check(gate, left, base)
    origin.git("reset", "-q", "--hard", kept)
    instead = origin.commit("instead")
    check(gate, instead, left)
    assert found(gate, push(gate, left, instead))["checked_at_push"]


def test_a_forced_push_launders_nothing_that_came_unchecked(gate: Line, origin: Origin) -> None:
    base = base_released(gate, origin)
    kept = origin.commit("kept")
    left = origin.commit("left")  # came past the check, so the check of the next push does not look at what both hold
    origin.git("reset", "-q", "--hard", kept)
    instead = origin.commit("instead")
    check(gate, instead, left)
    evidence = found(gate, push(gate, base, instead))
    assert not evidence["checked_at_push"] and evidence["unchecked"] == [instead, kept]


def test_back_and_forth_launders_nothing(gate: Line, origin: Origin) -> None:
    """Each of two commits was compared with the other one only, so nobody looked at what they share."""
    base = base_released(gate, origin)
    shared = origin.commit("shared")
    one = origin.commit("one")
    origin.git("reset", "-q", "--hard", shared)
    two = origin.commit("two")
    check(gate, one, two)
    check(gate, two, one)
    assert shared in found(gate, push(gate, base, two))["unchecked"]


def test_all_history_of_a_first_deployment_must_have_been_checked(gate: Line, origin: Origin) -> None:
    old, new = origin.commit("old"), origin.commit("new")
    check(gate, new, old)
    evidence = found(gate, push(gate, old, new))
    assert not evidence["checked_at_push"] and evidence["unchecked"] == [old] and evidence["is_first"]


def test_a_first_push_that_was_compared_with_nothing_is_checked_whole(gate: Line, origin: Origin) -> None:
    origin.commit("old")
    new = origin.commit("new")
    check(gate, new)
    assert found(gate, push(gate, None, new))["checked_at_push"]
