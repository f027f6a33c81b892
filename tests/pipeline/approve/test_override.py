"""Breaking the glass: a right of its own, a purpose, a second factor just now, told to everybody, reviewed by somebody else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from app.domain.deployment import State, Trigger
from app.domain.errors import BadRequest, Forbidden, NotAllowed, NotFound, RateLimited
from app.domain.event import Account
from app.domain.session import StoredSession
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.approve.acting_person import person_behind
from app.pipeline.approve.override import override
from app.pipeline.approve.review import review
from app.pipeline.line.rollback import rollback
from app.pipeline.people.sign_out import end_all_sessions
from app.pipeline.ports.services import IssuerBinding, SinkBinding
from app.store.reads import Reads
from app.store.sessions import SqlSessions
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


def planned(held: Held) -> int:
    with held.line.engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM deployments").scalar_one())


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


def test_without_the_right_nothing_is_planned_and_nobody_is_told(held: Held) -> None:
    waiting = held.held()
    with pytest.raises(Forbidden, match="no policy permits bob to override"):
        override(held.line.services, waiting.id, held.in_person("bob"), WHY)
    assert held.line.now(waiting).state is State.HELD
    assert planned(held) == 1 and told(held) == ["deployment:held"]
    refused = Reads(held.line.engine).audit(deployment_id=waiting.id)[-1]
    assert (refused.action, refused.actor, refused.detail["right"]) == ("right:refused", "bob", "override")
    assert refused.detail["request"] and "it would be allowed if bob is a member of on-call" in refused.detail["reason"]


def test_who_asks_again_and_again_is_slowed_and_others_are_not(held: Held) -> None:
    waiting = held.held()
    with pytest.raises(RateLimited, match="bob has asked for rights too often"):
        for _ in range(60):
            with suppress(Forbidden):
                override(held.line.services, waiting.id, held.in_person("bob"), WHY)
    refused = [e for e in Reads(held.line.engine).audit(deployment_id=waiting.id) if e.action == "right:refused"]
    assert len(refused) == 10
    override(held.line.services, waiting.id, held.in_person("dana"), WHY)


def test_a_permit_for_any_action_is_no_right_to_override(held: Held) -> None:
    admin = POLICY + '@id("admin") permit (principal == Principal::"bob", action, resource);'
    held.line.policy = CedarPolicy({"a.cedar": admin})  # type: ignore[assignment]
    waiting = held.held()
    with pytest.raises(Forbidden) as refused:
        override(held.line.services, waiting.id, held.in_person("bob"), WHY)
    assert str(refused.value) == (
        'no policy permits to override by name; permits for any action do not include it: "admin"; '
        "it would be allowed if bob is a member of on-call"
    )


def test_what_the_line_denies_after_all_is_told_to_nobody_and_not_listed(held: Held) -> None:
    made = override(held.line.services, held.held().id, held.in_person("dana"), WHY)
    held.change("dana", groups=frozenset())
    assert held.line.run(made).state is State.DENIED
    assert "deployment:overridden" not in told(held)
    reads = Reads(held.line.engine)
    assert [view.deployment.id for view in reads.overrides(10)] == [made.id] and reads.overrides(10, unreviewed=True) == []
    with pytest.raises(NotAllowed, match="has not gone out: there is nothing to review"):
        review(held.line.services, made.id, held.in_person("bob"))


@pytest.mark.parametrize("how", [{"mfa": False}, {"age": 901.0}])
def test_it_takes_a_second_factor_just_now(held: Held, how: dict[str, float]) -> None:
    waiting = held.held()
    with pytest.raises(Forbidden, match="no second factor within 15 minutes: sign in again"):
        override(held.line.services, waiting.id, held.in_person("dana", **how), WHY)  # type: ignore[arg-type]


def test_it_is_judged_by_the_session_that_made_it(held: Held) -> None:
    """Signing out, or in again without a second factor or at a later time, takes nothing back."""
    made = override(held.line.services, held.held().id, held.in_person("dana"), WHY)
    held.line.clock.move(30)
    sign_in(held, "dana", age=1, mfa=False)
    sign_in(held, "dana", age=0)
    assert held.line.run(made).state is State.SUCCEEDED


def test_a_session_that_was_revoked_takes_its_override_back(held: Held) -> None:
    sign_in(held, "dana")
    made = override(held.line.services, held.held().id, held.in_person("dana"), WHY)
    end_all_sessions(held.line.services, "dana", Account("os", "root", "root"))
    sign_in(held, "dana")
    ended = held.line.run(made)
    assert ended.state is State.DENIED and ended.reason is not None
    assert "the session in which dana asked for it was revoked at" in ended.reason


def test_a_refused_override_names_what_is_known_of_its_commits(held: Held) -> None:
    known = '@id("known") forbid (principal, action == Action::"override", resource) unless { context.authors_known };'
    held.line.policy = CedarPolicy({"a.cedar": POLICY + known})  # type: ignore[assignment]
    held.line.repositories.emails = ["eve@example.com"]
    waiting = held.held()
    with pytest.raises(Forbidden, match=r"e-mail eve@example\.com belongs to nobody \(author of commit "):
        override(held.line.services, waiting.id, held.in_person("dana"), WHY)


def test_a_rollback_is_judged_by_the_session_that_made_it(held: Held) -> None:
    text = (
        POLICY
        + """@id("fresh") forbid (principal, action == Action::"rollback", resource)
    unless { context.session.mfa_age < 900 };"""
    )
    for word in ("one", "two"):
        deployment = held.held(word)
        held.vote(deployment, "bob")
        assert held.resumed(deployment).state is State.SUCCEEDED
    held.line.policy = CedarPolicy({"a.cedar": text})  # type: ignore[assignment]
    alice = held.in_person("alice")
    back = rollback(held.line.services, "production", None, alice.account, alice.session)
    sign_in(held, "alice", mfa=False)
    assert held.line.run(back).state is State.SUCCEEDED


def test_what_a_former_version_planned_is_judged_by_the_newest_session(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as former:
        former.setattr(SqlSessions, "bind", lambda *_: None)
        made = override(held.line.services, held.held().id, held.in_person("dana"), WHY)
    ended = held.line.run(made)
    assert ended.state is State.DENIED and ended.reason is not None and "no sign-in at this gate" in ended.reason


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
    back = rollback(held.line.services, "production", None, ALICE)
    held.change("alice", groups=frozenset())
    denied = held.line.run(back)
    assert denied.state is State.DENIED
    with pytest.raises(NotAllowed, match="a rollback cannot be overridden"):
        override(held.line.services, denied.id, held.in_person("dana"), WHY)


def test_another_person_reviews_it_once(held: Held) -> None:
    sign_in(held, "dana")
    made = held.line.run(override(held.line.services, held.held().id, held.in_person("dana"), WHY))
    with pytest.raises(Forbidden, match="dana made this override"):
        review(held.line.services, made.id, held.in_person("dana"))
    assert [view.deployment.id for view in Reads(held.line.engine).overrides(10, unreviewed=True)] == [made.id]
    review(held.line.services, made.id, held.in_person("bob"), "was right")
    assert Reads(held.line.engine).overrides(10, unreviewed=True) == []
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
