"""Counting votes: every rule needs people of its own; a voter who fits several rules goes to the rule that needs one."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.approval import ApprovalRule, ApprovalSettings, tally

LEADS, DATABASE = frozenset({"leads"}), frozenset({"database"})
BOTH = LEADS | DATABASE


def rules(*wanted: tuple[int, frozenset[str]], count_each: bool = False) -> ApprovalSettings:
    return ApprovalSettings(tuple(ApprovalRule(count, groups) for count, groups in wanted), count_each=count_each)


@pytest.mark.parametrize(
    ("wanted", "voters", "met"),
    [
        (rules(), {}, False),
        (rules(), {"bob": frozenset()}, True),
        (rules((2, LEADS)), {"bob": LEADS}, False),
        (rules((2, LEADS)), {"bob": LEADS, "dana": LEADS}, True),
        (rules((2, LEADS)), {"bob": LEADS, "dana": DATABASE}, False),
        (rules((1, LEADS), (1, DATABASE)), {"bob": BOTH}, False),
        (rules((1, LEADS), (1, DATABASE), count_each=True), {"bob": BOTH}, True),
        (rules((1, LEADS), (1, DATABASE)), {"bob": BOTH, "dana": LEADS}, True),
        (rules((1, LEADS), (1, DATABASE)), {"bob": BOTH, "dana": DATABASE}, True),
        (rules((1, BOTH), (1, LEADS)), {"bob": LEADS, "dana": DATABASE}, True),
        (rules((1, frozenset()), (1, LEADS)), {"bob": LEADS, "dana": frozenset()}, True),
    ],
)
def test_all_rules_must_be_met(wanted: ApprovalSettings, voters: dict[str, frozenset[str]], met: bool) -> None:
    result = tally(wanted, voters)
    assert (result.met, result.count) == (met, len(voters))
    assert bool(result.missing) is not met


def test_what_is_missing_is_said_by_group() -> None:
    assert tally(rules((2, LEADS), (1, DATABASE)), {"bob": LEADS}).missing == ("1 more of leads", "1 more of database")


GROUPS = st.sets(st.sampled_from("abc"), max_size=2).map(frozenset)
VOTERS = st.dictionaries(st.sampled_from(["v1", "v2", "v3", "v4"]), GROUPS, max_size=4)


@settings(max_examples=300, deadline=None)
@given(wanted=st.lists(st.tuples(st.integers(1, 2), GROUPS), min_size=1, max_size=3), voters=VOTERS)
def test_rules_are_met_just_where_some_order_of_seating_meets_them(
    wanted: list[tuple[int, frozenset[str]]], voters: dict[str, frozenset[str]]
) -> None:
    places = [groups for count, groups in wanted for _ in range(count)]
    seated = any(
        all(not groups or groups & voters[voter] for voter, groups in zip(order, places, strict=True))
        for order in permutations(voters, len(places))
    )
    assert tally(rules(*wanted), voters).met is seated


@settings(max_examples=100, deadline=None)
@given(wanted=st.lists(st.tuples(st.integers(1, 3), GROUPS), max_size=3), voters=VOTERS, gone=st.sampled_from(["v1", "v2"]))
def test_a_vote_less_never_meets_more(
    wanted: list[tuple[int, frozenset[str]]], voters: dict[str, frozenset[str]], gone: str
) -> None:
    fewer = {voter: groups for voter, groups in voters.items() if voter != gone}
    for count_each in (False, True):
        approvals = rules(*wanted, count_each=count_each)
        assert tally(approvals, voters).met or not tally(approvals, fewer).met
