"""Break the glass: a person deploys in spite of a denial or missing approvals, in sight of everybody.

An override is a deployment of its own with its own right (`override`), decided and dispatched like any other. It takes a
purpose, and a second factor shown just now. The sinks are told of it, and it is listed until another person has reviewed it.
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
    objection = why_no_mfa(person.session, services.clock.now())
    if objection is not None:
        raise Forbidden(f"an override needs a second factor: {objection}")
    with services.store.unit() as unit:
        overridden = unit.deployments.get(deployment_id)
        if overridden is None:
            raise NotFound(f"there is no deployment {deployment_id}")
        if overridden.state not in OVERRIDABLE:
            raise NotAllowed(f"only a held or denied deployment can be overridden, and {overridden.id} is {overridden.state}")
        if overridden.is_rollback:
            raise NotAllowed(
                "a rollback cannot be overridden: permit the action `rollback` to the people who must go back in an emergency"
            )
        position = unit.deployments.next_position()
        copy = deployment_of(
            services,
            overridden,
            actor=person.account,
            trigger=Trigger.OVERRIDE,
            position=position,
            correlation_id=services.ids.new(),
        )
        deployment = replace(copy, release_id=None, purpose=purpose)
        unit.deployments.add(deployment, services.clock.now() + timedelta(seconds=services.limits.sweep_after))
        detail = {"overrides": overridden.id, "purpose": purpose, "reason": overridden.reason or ""}
        unit.audit.append([services.recorder.entry(AuditAction.DEPLOYMENT_OVERRIDDEN, detail, about=deployment)])
        notice = deployment_notice(services, deployment, "overridden", overridden.reason or "")
        tell(services, unit, notice, environment=deployment.environment)
    services.wakes.run(Wake.of(deployment, Stage.VALIDATE_IDENTITY))
    return deployment


def review(services: Services, deployment_id: str, person: Person, comment: str = "") -> AuditEntry:
    """Note that another person has looked at an override afterwards; raises NotFound, NotAllowed or Forbidden."""
    check_fresh(person.session, services.clock.now(), REVIEWER_SESSION)
    who = person.principal.subject
    with services.store.unit() as unit:
        deployment = unit.deployments.get(deployment_id)
        if deployment is None or deployment.trigger is not Trigger.OVERRIDE:
            raise NotFound(f"there is no override {deployment_id}")
        if who == deployment.actor.id or who == deployment.principal:
            raise Forbidden(f"{who} made this override: another person must review it")
        if not unit.approvals.review(deployment.id, who, plain_line(comment), at=services.clock.now()):
            raise NotAllowed(f"override {deployment.id} has already been reviewed")
        detail = {"comment": plain_line(comment)}
        entry = services.recorder.entry(AuditAction.OVERRIDE_REVIEWED, detail, about=deployment, actor=who)
        unit.audit.append([entry])
    return entry
