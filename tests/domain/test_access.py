"""Sources that do not agree: no source overwrites another, and every doubt denies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.access import Identity, SourceKind, SourceRule, Statement, judge, subject_from
from app.domain.principal import PrincipalKind

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
RULES = {
    "file": SourceRule("file", SourceKind.FILE),
    "directory": SourceRule("directory", SourceKind.SCIM),
    "okta": SourceRule("okta", SourceKind.OKTA, timedelta(hours=1), timedelta(minutes=5), timedelta(hours=6)),
}


def said(source: str, *groups: str, active: bool = True, gone: bool = False, age: float = 0, **over: object) -> Statement:
    values: dict[str, object] = {"external_id": f"{source}-1", "subject": "alice", "is_active": active and not gone}
    identity = Identity(**(values | over))  # type: ignore[arg-type]
    return Statement(source, identity, frozenset(groups), NOW, NOW - timedelta(seconds=age), gone)


def active(*statements: Statement, unread: tuple[str, ...] = ()) -> tuple[bool, str]:
    standing = judge("alice", statements, [], rules=RULES, unread=unread, now=NOW)
    assert standing is not None
    return standing.principal.active, standing.principal.why_inactive


def test_one_source_is_enough() -> None:
    for source in RULES:
        assert active(said(source)) == (True, "")


@pytest.mark.parametrize(
    ("statements", "reason"),
    [
        ((said("file"), said("okta", active=False)), "source okta says so"),
        ((said("file", active=False), said("okta")), "source file says so"),
        ((said("file"), said("directory", gone=True)), "source directory no longer has this identity"),
        ((said("file"), said("okta", age=3601)), "source okta is stale: last confirmed 2026-11-25 10:59 UTC"),
    ],
)
def test_any_source_can_take_the_power_away(statements: tuple[Statement, ...], reason: str) -> None:
    assert active(*statements) == (False, reason)


def test_of_two_whom_a_source_calls_the_same_none_can_act() -> None:
    twin = said("okta", external_id="okta-2")
    assert active(said("okta"), twin) == (False, "source okta has 2 identities with this subject")
    assert active(said("okta"), said("okta", external_id="okta-2", gone=True)) == (
        False,
        "source okta no longer has this identity",
    )


def test_a_time_that_has_not_come_yet_confirms_nothing() -> None:
    assert not active(said("okta", age=-3600))[0]
    assert active(said("okta", age=-30))[0]


def test_what_speaks_by_itself_holds_until_it_says_otherwise() -> None:
    assert active(said("directory", age=10**8)) == (True, "")
    assert active(said("okta", age=3600)) == (True, "")


def test_a_source_that_was_never_read_may_have_anything_against_anybody() -> None:
    assert active(said("file"), unread=("okta",)) == (False, "source okta was never read")


def test_what_is_no_source_any_more_does_not_count() -> None:
    assert active(said("file"), said("former", active=False)) == (True, "")
    assert judge("alice", [said("former")], [], rules=RULES, unread=(), now=NOW) is None
    assert judge("alice", [], [], rules=RULES, unread=(), now=NOW) is None


def test_groups_add_up_but_not_those_of_who_is_gone() -> None:
    statements = [said("file", "deployers"), said("directory", "operators"), said("okta", "admins", gone=True)]
    standing = judge("alice", statements, [], rules=RULES, unread=(), now=NOW)
    assert standing is not None and standing.principal.groups == {"deployers", "operators"}


def test_of_several_kinds_the_most_restricted_counts_and_the_conflict_is_told() -> None:
    statements = [said("file", kind=PrincipalKind.HUMAN), said("okta", kind=PrincipalKind.AGENT, owner="bob", active=False)]
    standing = judge("alice", statements, [], rules=RULES, unread=(), now=NOW)
    assert standing is not None
    assert (standing.principal.kind, standing.principal.owner) == (PrincipalKind.AGENT, "bob")
    assert standing.conflicts == ("active according to file, inactive according to okta", "has several kinds: agent, human")


def test_who_has_several_owners_has_none_that_could_answer() -> None:
    standing = judge("alice", [said("file", owner="bob"), said("okta", owner="carol")], [], rules=RULES, unread=(), now=NOW)
    assert standing is not None and standing.principal.owner is None
    assert standing.conflicts == ("has several owners: bob, carol",)


SAID = st.builds(
    said, st.sampled_from(sorted(RULES)), active=st.booleans(), gone=st.booleans(), age=st.integers(0, 10_000).map(float)
)


@given(st.lists(SAID, min_size=1, max_size=5), SAID)
def test_one_more_statement_never_makes_anybody_active(statements: list[Statement], more: Statement) -> None:
    before, _ = active(*statements)
    after, _ = active(*statements, more)
    is_fresh_word_of_the_same_source = more.source in {s.source for s in statements}
    assert before or not after or is_fresh_word_of_the_same_source


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Alice", "alice"),
        ("  bob@Example.com\n", "bob@example.com"),
        ("José", "josé"),
        ("Jose\u0301", "josé"),
        ("a" * 200, "a" * 200),
    ],
)
def test_subjects_are_compared_in_one_spelling(text: str, subject: str) -> None:
    assert subject_from(text) == subject


@pytest.mark.parametrize(
    "text", ["", "  ", "Tidegate", "bo\u017fs", "\u212aim", "Straße", "a\x00b", "a\u202eb", "a" * 201, "a\nb"]
)
def test_what_can_be_no_subject_is_none(text: str) -> None:
    assert subject_from(text) is None


@given(st.text())
def test_a_subject_is_its_own_spelling(text: str) -> None:
    subject = subject_from(text)
    assert subject is None or subject_from(subject) == subject
