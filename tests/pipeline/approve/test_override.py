"""Breaking the glass: a right of its own, a purpose, a second factor just now, told to everybody, reviewed by somebody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.deployment import State, Trigger
from app.domain.errors import BadRequest, Forbidden, NotAllowed, NotFound
from app.domain.event import Account
from app.domain.session import StoredSession
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.approve.acting_person import person_behind
from app.pipeline.approve.override import override, review
from app.pipeline.line.rollback import rollback
from app.pipeline.ports.services import IssuerBinding, SinkBinding
from app.store.reads import Reads
from tests.pipeline.approvals import POLICY, Held, holding
from tests.pipeline.conftest import ALICE, Line, sha

WHY = "the shop is down, and nobody else is awake"


@pytest.fixture
def held(line: Line) -> Held:
    """The line with an issuer at which people sign in, and a sink that wants to know of everything."""
    held = holding(line)
    former = line.services.guard
    issuer = IssuerBinding("https://id.example", False, None, None, None, None)  # type: ignore[arg-type]
    sink = SinkBinding(("deployment:*",), frozenset(), None)  # type: ignore[arg-type]
    object.__setattr__(line.services, "guard", lambda: replace(former(), issuers={"corp": issuer}, sinks={"chat": sink}))
    return held


def sign_in(held: Held, subject: str, *, age: float = 60.0, mfa: bool = True) -> None:
    """Begin a session that the gate remembers."""
    facts = replace(held.in_person(subject, age=age, mfa=mfa).session, id=held.line.services.ids.new())
    now = held.line.clock.now()
    ends = now.replace(year=now.year + 1)
    with held.line.services.store.unit() as unit:
        unit.sessions.add(StoredSession(facts.id, facts.id, {}, now, now, ends, facts))


def told(held: Held) -> list[str]:
    with held.line.engine.connect() as connection:
        return list(connection.exec_driver_sql("SELECT event FROM notices ORDER BY at, id").scalars())


@pytest.mark.parametrize("by", ["alice", "dana"])
def test_who_may_override_deploys_what_waits_at_once_and_everybody_is_told(held: Held, by: str) -> None:
    waiting = held.held()
    sign_in(held, by)
    made = held.line.run(override(held.line.services, waiting.id, held.in_person(by), WHY))
    assert (made.state, made.trigger, made.purpose, made.principal) == (State.SUCCEEDED, Trigger.OVERRIDE, WHY, by)
    assert [order.sha for order in held.line.target.started] == [sha("one")]
    assert held.line.now(waiting).state is State.SUPERSEDED and held.requests(waiting) == ["void"]
    assert told(held)[:2] == ["deployment:held", "deployment:overridden"]
    (first, *_) = Reads(held.line.engine).audit(deployment_id=made.id)
    assert (first.action, first.detail["overrides"], first.detail["purpose"]) == ("deployment:overridden", waiting.id, WHY)


def test_what_was_denied_can_be_overridden(held: Held) -> None:
    denied = held.line.run(held.line.push("one", actor=Account("gogs", "7", "erin")))
    assert denied.state is State.DENIED
    sign_in(held, "dana")
    assert held.line.run(override(held.line.services, denied.id, held.in_person("dana"), WHY)).state is State.SUCCEEDED


def test_without_the_right_it_is_denied_and_what_waits_goes_on_waiting(held: Held) -> None:
    waiting = held.held()
    sign_in(held, "bob")
    made = held.line.run(override(held.line.services, waiting.id, held.in_person("bob"), WHY))
    assert made.state is State.DENIED and made.reason is not None and "no policy permits bob to override" in made.reason
    assert held.line.now(waiting).state is State.HELD


def test_a_permit_for_any_action_is_no_right_to_override(held: Held) -> None:
    admin = POLICY + '@id("admin") permit (principal == Principal::"bob", action, resource);'
    held.line.policy = CedarPolicy({"a.cedar": admin})  # type: ignore[assignment]
    waiting = held.held()
    sign_in(held, "bob")
    made = held.line.run(override(held.line.services, waiting.id, held.in_person("bob"), WHY))
    assert made.state is State.DENIED and made.reason == (
        'no policy permits to override by name; permits for any action do not include it: "admin"; '
        "it would be allowed if bob is a member of on-call"
    )


@pytest.mark.parametrize("how", [{"mfa": False}, {"age": 901.0}])
def test_it_takes_a_second_factor_just_now(held: Held, how: dict[str, float]) -> None:
    waiting = held.held()
    with pytest.raises(Forbidden, match="no second factor within 15 minutes: sign in again"):
        override(held.line.services, waiting.id, held.in_person("dana", **how), WHY)  # type: ignore[arg-type]


def test_a_sign_in_that_ended_before_the_decision_counts_no_more(held: Held) -> None:
    made = override(held.line.services, held.held().id, held.in_person("dana"), WHY)
    ended = held.line.run(made)
    assert (ended.state, ended.reason) == (
        State.DENIED,
        "an override needs a second factor: no sign-in at this gate: open /login first, with a second factor",
    )


@pytest.mark.parametrize("purpose", ["", "   ", "because"])
def test_it_takes_a_purpose(held: Held, purpose: str) -> None:
    with pytest.raises(BadRequest, match="purpose of 10 characters or more"):
        override(held.line.services, held.held().id, held.in_person("dana"), purpose)


def test_only_what_is_held_or_denied_is_overridden(held: Held) -> None:
    person = held.in_person("dana")
    with pytest.raises(NotFound):
        override(held.line.services, "00000000-0000-7000-8000-000000000000", person, WHY)
    with pytest.raises(NotAllowed, match="is planned"):
        override(held.line.services, held.line.push("one").id, person, WHY)


def test_a_rollback_is_not_overridden(held: Held) -> None:
    for word in ("one", "two"):
        deployment = held.held(word)
        held.vote(deployment, "bob")
        assert held.resumed(deployment).state is State.SUCCEEDED
    denied = held.line.run(rollback(held.line.services, "production", None, Account("gogs", "7", "erin")))
    assert denied.state is State.DENIED
    with pytest.raises(NotAllowed, match="a rollback cannot be overridden"):
        override(held.line.services, denied.id, held.in_person("dana"), WHY)


def test_another_person_reviews_it_once(held: Held) -> None:
    sign_in(held, "dana")
    made = held.line.run(override(held.line.services, held.held().id, held.in_person("dana"), WHY))
    with pytest.raises(Forbidden, match="dana made this override"):
        review(held.line.services, made.id, held.in_person("dana"))
    review(held.line.services, made.id, held.in_person("bob"), "was right")
    with pytest.raises(NotAllowed, match="has already been reviewed"):
        review(held.line.services, made.id, held.in_person("carol"))
    assert held.line.actions(made)[-1] == "override:reviewed"


def test_somebody_at_the_command_line_acts_with_the_newest_sign_in_here(held: Held) -> None:
    with pytest.raises(Forbidden, match="alice has not signed in here"):
        person_behind(held.line.services, held.line.services.guard(), ALICE)
    sign_in(held, "alice", age=50)
    sign_in(held, "alice", age=5)
    found = person_behind(held.line.services, held.line.services.guard(), ALICE)
    assert round((held.line.clock.now() - found.session.signed_in_at).total_seconds()) == 5
    with pytest.raises(Forbidden, match="is not linked to a person"):
        person_behind(held.line.services, held.line.services.guard(), Account("os", "mallory", "mallory"))
    with pytest.raises(Forbidden, match="only people decide"):
        person_behind(held.line.services, held.line.services.guard(), Account("gogs", "9", "robot"))
