"""Every right is named: to review, to change policies, to roll back. Being signed in is not a right (invariant 16)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from app.domain.decision import NAMED, Action, Effect
from app.domain.deployment import Deployment, State
from app.domain.errors import Forbidden
from app.domain.event import Account
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.approve.decide_proposal import accept, reject
from app.pipeline.approve.override import override
from app.pipeline.approve.review import review
from app.pipeline.approve.vote import vote
from app.pipeline.decide.right import Claim, decide_claim
from app.pipeline.line.rollback import rollback
from app.pipeline.ports.services import IssuerBinding
from app.store.reads import Reads
from tests.fakes import person
from tests.pipeline.approvals import POLICY, Held, holding
from tests.pipeline.conftest import Line
from tests.pipeline.proposals import policy_proposal, releases, rollback_proposal

WHY = "the shop is down, and nobody else is awake"
EVERYTHING = '@id("all") permit (principal, action, resource);'


@pytest.fixture
def held(line: Line) -> Held:
    held = holding(line)
    former = line.services.guard
    issuer = IssuerBinding("https://id.example", False, None, None, None, None)  # type: ignore[arg-type]
    object.__setattr__(line.services, "guard", lambda: replace(former(), issuers={"corp": issuer}))
    return held


def overridden(held: Held, by: str = "dana") -> Deployment:
    made = held.line.run(override(held.line.services, held.held().id, held.in_person(by), WHY))
    assert made.state is State.SUCCEEDED, made.reason
    return made


def refusals(held: Held) -> list[tuple[str, str]]:
    with held.line.engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT actor, detail->>'right' FROM audit_entries WHERE action = 'right:refused' ORDER BY seq"
        )
        return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("action", sorted(NAMED))
def test_invariant_16_no_right_comes_from_being_signed_in_or_from_a_permit_for_any_action(held: Held, action: Action) -> None:
    """Erin is an active person with a fresh session and a second factor, and no policy names her."""
    guard, erin = held.line.services.guard(), held.in_person("erin")
    for text in (POLICY, POLICY + EVERYTHING):
        asked = replace(guard, policy=CedarPolicy({"a.cedar": text}))
        place = ("", "") if action is Action.CHANGE_POLICIES else ("production", "gogs:acme/shop")
        decision = decide_claim(held.line.services, asked, Claim(erin.principal, action, erin.session, *place))
        assert decision.effect is Effect.DENY, decision.reason


@pytest.mark.parametrize("action", [Action.REVIEW, Action.CHANGE_POLICIES, Action.READ])
@pytest.mark.parametrize("subject", ["erin", 'o"neil \\ "'])
def test_what_nobody_is_permitted_yet_names_the_exact_policy_to_add(held: Held, action: Action, subject: str) -> None:
    who = person(subject, groups=())
    bare = POLICY.replace('action in [Action::"review", Action::"change-policies"]', 'action == Action::"approve"')
    place = ("", "") if action is Action.CHANGE_POLICIES else ("production", "gogs:acme/shop")
    for text in (bare, bare + EVERYTHING):
        guard = replace(held.line.services.guard(), policy=CedarPolicy({"a.cedar": text}))
        refused = decide_claim(held.line.services, guard, Claim(who, action, None, *place))
        found = re.search(r"add the policy: (@id.*;)$", refused.reason)
        assert refused.effect is Effect.DENY and found is not None, refused.reason
        guard = replace(guard, policy=CedarPolicy({"a.cedar": f"{text}\n{found[1]}"}))
        assert decide_claim(held.line.services, guard, Claim(who, action, None, *place)).effect is Effect.ALLOW
        other = Claim(person("mallory", groups=()), action, None, *place)
        assert decide_claim(held.line.services, guard, other).effect is Effect.DENY


def test_a_review_takes_the_right_to_review(held: Held) -> None:
    made = overridden(held)
    with pytest.raises(Forbidden, match="no policy permits erin to review an override in production"):
        review(held.line.services, made.id, held.in_person("erin"))
    assert refusals(held) == [("erin", "review")] and held.line.actions(made)[-1] == "right:refused"
    review(held.line.services, made.id, held.in_person("bob"))
    assert held.line.actions(made)[-1] == "override:reviewed"


@pytest.mark.parametrize("hand", ["bob@example.com", "robot@example.com"])
def test_who_wrote_it_or_answers_for_the_agent_that_did_does_not_review_it(held: Held, hand: str) -> None:
    held.line.repositories.emails = ["alice@example.com", hand]
    made = overridden(held)
    (involved,) = {"bob@example.com": ["bob"], "robot@example.com": ["carol"]}[hand]
    with pytest.raises(Forbidden, match=f"{involved} had a hand in what was deployed"):
        review(held.line.services, made.id, held.in_person(involved))
    assert Reads(held.line.engine).overrides(10, unreviewed=True)


def test_who_claims_the_e_mail_afterwards_does_not_review_either(held: Held) -> None:
    held.line.repositories.emails = ["alice@example.com", "new@example.com"]
    made = overridden(held)
    held.change("bob", emails=frozenset({"new@example.com"}))
    with pytest.raises(Forbidden, match="bob had a hand"):
        review(held.line.services, made.id, held.in_person("bob"))


@pytest.mark.parametrize("decide", [accept, reject])
def test_a_proposed_policy_is_decided_by_those_who_may_change_policies(held: Held, decide: Callable[..., object]) -> None:
    made = policy_proposal(held)
    with pytest.raises(Forbidden, match="no policy permits erin to change policies"):
        decide(held.line.services, made.id, held.in_person("erin"))
    assert refusals(held) == [("erin", "change-policies")]
    decide(held.line.services, made.id, held.in_person("alice"))


@pytest.mark.parametrize("decide", [accept, reject])
def test_a_proposed_rollback_is_decided_by_those_who_may_roll_back(held: Held, decide: Callable[..., object]) -> None:
    releases(held, "one", "two")
    made = rollback_proposal(held)
    with pytest.raises(Forbidden, match="no policy permits erin to rollback"):
        decide(held.line.services, made.id, held.in_person("erin"))
    assert refusals(held) == [("erin", "rollback")]
    decide(held.line.services, made.id, held.in_person("alice"))


def test_a_rollback_is_not_planned_without_the_right(held: Held) -> None:
    before = len(releases(held, "one", "two"))
    for account in (Account("gogs", "7", "erin"), Account("gogs", "99", "nobody")):
        with pytest.raises(Forbidden):
            rollback(held.line.services, "production", None, account)
    assert len(Reads(held.line.engine).deployments(100)) == before and refusals(held) == [("erin", "rollback")]


def test_a_rollback_that_may_wait_for_approvals_is_planned(held: Held) -> None:
    releases(held, "one", "two")
    rule = '@id("back") forbid (principal, action == Action::"rollback", resource) unless { context.approvals.count > 0 };'
    held.line.policy = CedarPolicy({"a.cedar": POLICY + rule})  # type: ignore[assignment]
    assert held.line.run(rollback(held.line.services, "production", None, Account("gogs", "2", "alice"))).state is State.HELD


def test_a_refused_vote_stores_nothing(held: Held) -> None:
    waits = held.held()
    with pytest.raises(Forbidden):
        vote(held.line.services, waits.id, held.in_person("erin"), "approve")  # type: ignore[arg-type]
    with held.line.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM votes").scalar_one() == 0
