"""What is said to change the answer does change it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.domain.decision import Action, Decision, DecisionRequest
from app.domain.principal import Principal, PrincipalKind
from app.integrations.policy.cedar import CedarPolicy, load
from app.pipeline.decide.completion import ABSENT
from app.pipeline.decide.what_if import as_sentence, what_would_help

TEAM = load(Path(__file__).parents[3] / "examples" / "team")
CLEAN = {
    "authors_known": True,
    "inspected": True,
    "paths_known": True,
    "branch": "main",
    "ref": "refs/heads/main",
    "environments": ["production"],
    "weekday": 2,
    "hour": 10,
    "session": {**ABSENT["session"], "present": True, "age": 60, "mfa_age": 60, "country": "DE"},
    "approvals": {"count": 1, "met": True, "groups": ["leads"]},
}


def ask(
    policy: CedarPolicy = TEAM, *, groups: tuple[str, ...] = ("releasers",), kind: str = "human", **facts: object
) -> Decision:
    who = Principal("alice", PrincipalKind(kind), True, frozenset(groups), frozenset(), frozenset({"gogs:1"}))
    context = {**ABSENT, **CLEAN, **facts}
    return policy.decide(DecisionRequest(who, Action.DEPLOY, "production", "gogs:acme/shop", context))


@pytest.mark.parametrize(
    ("groups", "facts", "ways"),
    [
        ((), {}, [("alice is a member of releasers",)]),
        (("releasers",), {"hour": 20}, [("it is Tuesday, 8 to 16 o'clock",)]),
        (
            ("releasers",),
            {"weekday": 7},
            [("it is noon on Monday, Tuesday, Wednesday, Thursday, Friday",)],
        ),
        (
            ("releasers",),
            {"frozen": True, "freezes": ["winter"]},
            [("no freeze is in force",), ("alice is a member of release-managers",)],
        ),
        (("releasers",), {"forced": True}, [("nothing is pushed by force",)]),
        (("releasers",), {"branch": "topic", "ref": "refs/heads/topic"}, [("it comes from branch main",)]),
        (("releasers",), {"authors_known": False}, [("all its authors are people that a source knows",)]),
        (("releasers",), {"inspected": False}, [("all of its content can be looked at, and nothing is found in it",)]),
        (("releasers",), {"approvals": ABSENT["approvals"]}, [("enough other people approve",)]),
        (
            ("releasers",),
            {"session": ABSENT["session"]},
            [(f"the person signs in at the gate from {name}, with a second factor",) for name in ("DE", "FR", "NL")],
        ),
        (
            (),
            {"hour": 20, "forced": True},
            [("nothing is pushed by force", "alice is a member of releasers", "it is Tuesday noon")],
        ),
    ],
)
def test_each_way_names_what_must_be_otherwise(
    groups: tuple[str, ...], facts: dict[str, Any], ways: list[tuple[str, ...]]
) -> None:
    assert what_would_help(TEAM, ask(groups=groups, **facts).request) == ways


def test_a_policy_that_nothing_satisfies_has_no_way() -> None:
    policy = CedarPolicy(
        {"a.cedar": '@id("p") permit (principal, action, resource);\n@id("f") forbid (principal, action, resource);'}
    )
    assert what_would_help(policy, ask(policy).request) == []


def test_an_agent_hears_that_a_person_could() -> None:
    policy = CedarPolicy({"a.cedar": '@id("p") permit (principal, action, resource) when { principal.kind == "human" };'})
    assert what_would_help(policy, ask(policy, kind="agent").request) == [("a person does it",)]


def test_no_more_is_asked_than_may_be() -> None:
    assert what_would_help(TEAM, ask(groups=(), hour=20, forced=True).request, most=3) == []


@pytest.mark.parametrize("damaged", [{}, {"request": {}}, {"request": {"context": [], "action": None}}])
def test_a_damaged_record_has_no_way(damaged: dict[str, object]) -> None:
    assert what_would_help(TEAM, damaged) == []


def test_ways_are_one_sentence() -> None:
    assert as_sentence([("a", "b"), ("c",)]) == "it would be allowed if a and b; or if c"
    assert as_sentence([]) == ""
