"""Run a stored delivery again, as an explicit act of the operator; it makes new deployments."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.domain.audit import AuditAction, AuditEntry
from app.domain.delivery import Delivery
from app.domain.deployment import Deployment, Stage, Trigger, Wake
from app.domain.errors import NotAllowed, NotFound
from app.domain.event import Account, Event, EventKind
from app.pipeline.intake.draft import new_deployment
from app.pipeline.ports.services import Services


def replay(services: Services, delivery_id: str, actor: Account) -> list[Deployment]:
    """Plan the delivery's deployments anew, as `actor`'s own act.

    Raises NotFound, NotAllowed (no deployment can follow from this delivery), RepositoryUnavailable or UnknownCommit.
    """
    with services.store.unit() as unit:
        delivery = unit.deliveries.get(delivery_id)
    if delivery is None:
        raise NotFound(f"there is no delivery {delivery_id}")
    event = delivery.event
    if event is None:
        raise NotAllowed(f"no deployment follows from this delivery: {delivery.reason}")
    deployments = _plan_again(services, delivery, replace(event, actor=actor))
    if not deployments:
        raise NotAllowed(f"no environment deploys {event.ref} of {event.repository.key}")
    for deployment in deployments:
        services.wakes.run(Wake.of(deployment, Stage.VALIDATE_IDENTITY))
    return deployments


def _plan_again(services: Services, delivery: Delivery, event: Event) -> list[Deployment]:
    guard = services.guard()
    environments = [e for e in guard.environments if e.deploys_event(event)]
    if not environments:
        return []
    sha = event.after
    if event.kind is not EventKind.PUSH or sha is None:
        sha = guard.repositories.fetch(event.repository.key, event.ref, event.after)
    due_at = services.clock.now() + timedelta(seconds=services.limits.sweep_after)
    with services.store.unit() as unit:
        position = unit.deployments.next_position()
        deployments = [
            replace(new_deployment(services, delivery, event, e, sha), trigger=Trigger.REPLAY, position=position)
            for e in environments
        ]
        for deployment in deployments:
            unit.deployments.add(deployment, due_at)
        unit.deliveries.finish({delivery.id: None})
        unit.audit.append([services.recorder.entry(AuditAction.DELIVERY_REPLAYED, about=delivery, actor=event.actor.key)])
        unit.audit.append([_planned_entry(services, d) for d in deployments])
    return deployments


def _planned_entry(services: Services, deployment: Deployment) -> AuditEntry:
    detail = {"trigger": deployment.trigger, "ref": deployment.ref}
    return services.recorder.entry(AuditAction.DEPLOYMENT_PLANNED, detail, about=deployment)
