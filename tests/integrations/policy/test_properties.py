"""What holds for every context and every set of policies."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.decision import Action, Effect
from app.integrations.policy.cedar import MOST, CedarPolicy
from tests.integrations.policy.cast import CONTEXT, asking, policy

_CONDITIONS = (
    "true",
    "context.hour < 12",
    'context.branch == "main"',
    "context.authors_known",
    'context.zones.contains("eu-central")',
    "context.hour + 9223372036854775800 > 0",
)
_CLAUSES = st.lists(st.tuples(st.sampled_from(("permit", "forbid")), st.sampled_from(_CONDITIONS)), min_size=1, max_size=5)
_FACTS = st.fixed_dictionaries(
    {
        "hour": st.integers(0, 23),
        "branch": st.sampled_from(("main", "topic")),
        "authors_known": st.booleans(),
        "zones": st.lists(st.sampled_from(("eu-central", "us-east")), max_size=2),
    }
)


def written(clauses: list[tuple[str, str]]) -> CedarPolicy:
    return policy(
        "\n".join(
            f'@id("p{n}") {effect} (principal, action, resource) when {{ {condition} }};'
            for n, (effect, condition) in enumerate(clauses)
        )
    )


@settings(max_examples=60, deadline=None)
@given(clauses=_CLAUSES, facts=_FACTS, removed=st.sampled_from(sorted(CONTEXT)))
def test_removing_a_context_attribute_never_allows(clauses: list[tuple[str, str]], facts: dict[str, Any], removed: str) -> None:
    context = {key: value for key, value in (CONTEXT | facts).items() if key != removed}
    assert written(clauses).decide(asking(context=context)).effect is Effect.DENY


@settings(max_examples=60, deadline=None)
@given(clauses=_CLAUSES, facts=_FACTS, at=st.integers(0, 5))
def test_a_forbid_that_fits_always_wins(clauses: list[tuple[str, str]], facts: dict[str, Any], at: int) -> None:
    more = [*clauses[:at], ("forbid", "true"), *clauses[at:]]
    assert written(more).decide(asking(**facts)).effect is Effect.DENY


@settings(max_examples=60, deadline=None)
@given(clauses=_CLAUSES, facts=_FACTS, at=st.integers(0, 4))
def test_removing_a_permit_never_allows_more(clauses: list[tuple[str, str]], facts: dict[str, Any], at: int) -> None:
    # Permits that err are left out: the error itself denies, so taking its cause away may rightly allow.
    clauses = [c for c in clauses if c != ("permit", _CONDITIONS[-1])]
    permits = [n for n, (effect, _) in enumerate(clauses) if effect == "permit"]
    if not permits or len(clauses) == 1:
        return
    gone = permits[at % len(permits)]
    fewer = [c for n, c in enumerate(clauses) if n != gone]
    if written(fewer).decide(asking(**facts)).effect is Effect.ALLOW:
        assert written(clauses).decide(asking(**facts)).effect is Effect.ALLOW


@settings(max_examples=60, deadline=None)
@given(clauses=_CLAUSES, facts=_FACTS)
def test_an_allow_is_recomputable_and_names_a_permit(clauses: list[tuple[str, str]], facts: dict[str, Any]) -> None:
    made = written(clauses)
    decision = made.decide(asking(**facts))
    assert made.recompute(json.loads(json.dumps(decision.request))).effect is decision.effect
    if decision.effect is Effect.ALLOW:
        assert decision.policies
        assert {clauses[int(p.removeprefix("p"))][0] for p in decision.policies} == {"permit"}


_WITH_APPROVALS = st.lists(
    st.tuples(
        st.sampled_from(("permit", "forbid")),
        st.sampled_from((*_CONDITIONS[:-1], "context.approvals.met", "!context.approvals.met", "context.approvals.count > 1")),
    ),
    min_size=1,
    max_size=5,
)
_VOTES = st.fixed_dictionaries({"count": st.integers(0, 3), "met": st.booleans(), "groups": st.just([])})


@settings(max_examples=150, deadline=None)
@given(clauses=_WITH_APPROVALS, facts=_FACTS, approvals=_VOTES)
def test_it_is_held_only_where_more_approvals_would_allow(
    clauses: list[tuple[str, str]], facts: dict[str, Any], approvals: dict[str, Any]
) -> None:
    made = written(clauses)
    now = made.decide(asking(**facts, approvals=approvals)).effect
    enough = made.decide(asking(**facts, approvals={"count": MOST, "met": True, "groups": []})).effect
    assert (now is Effect.HOLD) == (now is not Effect.ALLOW and enough is Effect.ALLOW)


@settings(max_examples=60, deadline=None)
@given(clauses=_WITH_APPROVALS, facts=_FACTS, action=st.sampled_from((Action.APPROVE, Action.OVERRIDE)))
def test_what_is_no_deployment_is_never_held(clauses: list[tuple[str, str]], facts: dict[str, Any], action: Action) -> None:
    assert written(clauses).decide(asking(action=action, **facts)).effect is not Effect.HOLD
