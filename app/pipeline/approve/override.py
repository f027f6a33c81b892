"""Break the glass: a person deploys in spite of what policy or missing approvals say, in sight of everybody.

An override is a deployment of its own with a right of its own (`override`), decided and dispatched like any other. It takes a
purpose and a second factor shown just now, it is told to the sinks, and it is listed until another person has reviewed it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.domain.audit import AuditAction, AuditEntry
from app.domain.deployment import Deployment, Stage, State, Trigger, Wake
from app.domain.errors import BadRequest, Forbidden, NotAllowed, NotFound
from app.domain.session import check_fresh, why_no_mfa
from app.domain.text import plain_line
from app.pipeline.approve.acting_person import Person
from app.pipeline.line.rollback import deployment_of
from app.pipeline.ports.services import Services
from app.pipeline.tell.tell import deployment_notice, tell

OVERRIDABLE = frozenset({State.HELD, State.DENIED})
SHORTEST_PURPOSE = 10
REVIEWER_SESSION = timedelta(hours=1)


def override(services: Services, deployment_id: str, person: Person, purpose: str) -> Deployment:
    """Plan a deployment of the same commit as this person's own act.

    Raises NotFound, NotAllowed (it is neither held nor denied, or a rollback), BadRequest (no purpose) and Forbidden.
    """
    purpose = plain_line(purpose.strip())
    if len(purpose) < SHORTEST_PURPOSE:
        raise BadRequest(f"an override needs a purpose of {SHORTEST_PURPOSE} characters or more: why can this not wait?")
    bare = why_no_mfa(person.session, services.clock.now())
    if bare is not None:
        raise Forbidden(f"an override needs a second factor: {bare}")
    with services.store.unit() as unit:
        seen = unit.deployments.get(deployment_id)
        if seen is None:
            raise NotFound(f"there is no deployment {deployment_id}")
        if seen.state not in OVERRIDABLE:
            raise NotAllowed(f"only what is held or denied can be overridden, and {seen.id} is {seen.state}")
        if seen.is_rollback:
            raise NotAllowed(
                "a rollback cannot be overridden: permit the action `rollback` to the people who must go back in an emergency"
            )
        position = unit.deployments.next_position()
        fresh = deployment_of(
            services,
            seen,
            actor=person.account,
            trigger=Trigger.OVERRIDE,
            position=position,
            correlation_id=services.ids.new(),
        )
        made = replace(fresh, release_id=None, purpose=purpose)
        unit.deployments.add(made, services.clock.now() + timedelta(seconds=services.limits.sweep_after))
        detail = {"overrides": seen.id, "purpose": purpose, "reason": seen.reason or ""}
        unit.audit.append([services.recorder.entry(AuditAction.DEPLOYMENT_OVERRIDDEN, detail, about=made)])
        tell(services, unit, deployment_notice(services, made, "overridden", seen.reason or ""), environment=made.environment)
    services.wakes.run(Wake.of(made, Stage.VALIDATE_IDENTITY))
    return made


def review(services: Services, deployment_id: str, person: Person, comment: str = "") -> AuditEntry:
    """Note that somebody else has looked at an override afterwards; raises NotFound, NotAllowed or Forbidden."""
    check_fresh(person.session, services.clock.now(), REVIEWER_SESSION)
    who = person.principal.subject
    with services.store.unit() as unit:
        made = unit.deployments.get(deployment_id)
        if made is None or made.trigger is not Trigger.OVERRIDE:
            raise NotFound(f"there is no override {deployment_id}")
        if who == made.actor.id or who == made.principal:
            raise Forbidden(f"{who} made this override: another person must review it")
        if not unit.approvals.review(made.id, who, plain_line(comment), at=services.clock.now()):
            raise NotAllowed(f"override {made.id} has already been reviewed")
        detail = {"comment": plain_line(comment)}
        entry = services.recorder.entry(AuditAction.OVERRIDE_REVIEWED, detail, about=made, actor=who)
        unit.audit.append([entry])
    return entry
