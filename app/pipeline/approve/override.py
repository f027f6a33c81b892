"""Break the glass: a person deploys in spite of a denial or missing approvals, in sight of everybody.

An override is a deployment of its own with its own right (`override`), decided and dispatched like any other. It takes a
purpose, and a second factor shown just now. The sinks are told as soon as it is permitted. Next: `review.py`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.domain.audit import AuditAction
from app.domain.decision import Action
from app.domain.deployment import Deployment, Stage, State, Trigger, Wake
from app.domain.errors import BadRequest, Forbidden, NotAllowed, NotFound
from app.domain.session import why_no_mfa
from app.domain.text import plain_line
from app.pipeline.approve.acting_person import Person
from app.pipeline.decide.case import Act
from app.pipeline.decide.right import Claim, check_claim
from app.pipeline.line.rollback import deployment_of
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit

OVERRIDABLE = frozenset({State.HELD, State.DENIED})
SHORTEST_PURPOSE = 10


def override(services: Services, deployment_id: str, person: Person, purpose: str) -> Deployment:
    """Plan a deployment of the same commit as this person's own act. The right is asked for first, and again in the line.

    Raises NotFound, NotAllowed (it is neither held nor denied, or a rollback), BadRequest (no purpose), RateLimited and
    Forbidden, which is audited if the right is missing.
    """
    purpose = plain_line(purpose.strip())
    if len(purpose) < SHORTEST_PURPOSE:
        raise BadRequest(f"an override needs a purpose of {SHORTEST_PURPOSE} characters or more: why can this not wait?")
    objection = why_no_mfa(person.session, services.clock.now())
    if objection is not None:
        raise Forbidden(f"an override needs a second factor: {objection}")
    _check_right(services, deployment_id, person)
    with services.store.unit() as unit:
        overridden = _overridable(unit, deployment_id)
        deployment = _own_act(services, unit, overridden, person, purpose)
        unit.deployments.add(deployment, services.clock.now() + timedelta(seconds=services.limits.sweep_after))
        unit.sessions.bind(deployment.id, person.session)
        detail = {"overrides": overridden.id, "purpose": purpose, "reason": overridden.reason or ""}
        unit.audit.append([services.recorder.entry(AuditAction.DEPLOYMENT_OVERRIDDEN, detail, about=deployment)])
    services.wakes.run(Wake.of(deployment, Stage.VALIDATE_IDENTITY))
    return deployment


def _overridable(unit: Unit, deployment_id: str) -> Deployment:
    overridden = unit.deployments.get(deployment_id)
    if overridden is None:
        raise NotFound(f"there is no deployment {deployment_id}")
    if overridden.state not in OVERRIDABLE:
        raise NotAllowed(f"only a held or denied deployment can be overridden, and {overridden.id} is {overridden.state}")
    if overridden.is_rollback:
        raise NotAllowed(
            "a rollback cannot be overridden: permit the action `rollback` to the people who must go back in an emergency"
        )
    return overridden


def _check_right(services: Services, deployment_id: str, person: Person) -> None:
    """Ask whether this person may override it, by the facts that are known of its commits."""
    with services.store.reading() as unit:
        overridden = _overridable(unit, deployment_id)
        identified = unit.deployments.result(deployment_id, Stage.VALIDATE_IDENTITY)
    act = Act(Trigger.OVERRIDE.value, overridden.ref, overridden.sha, person.account.login)
    evidence = identified.detail if identified is not None else {}
    place = (overridden.environment, overridden.repository.key)
    claim = Claim(person.principal, Action.OVERRIDE, person.session, *place, act=act, evidence=evidence)
    check_claim(services, services.guard(), claim, about=overridden)


def _own_act(services: Services, unit: Unit, overridden: Deployment, person: Person, purpose: str) -> Deployment:
    copy = deployment_of(
        services,
        overridden,
        actor=person.account,
        trigger=Trigger.OVERRIDE,
        position=unit.deployments.next_position(),
        correlation_id=services.ids.new(),
    )
    return replace(copy, release_id=None, purpose=purpose)
