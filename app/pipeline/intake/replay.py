"""Run a stored delivery again, deliberately: the operator is the one who acts, and new deployments follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.domain.audit import AuditAction, AuditEntry
from app.domain.delivery import Delivery
from app.domain.deployment import Deployment, Stage, Trigger, Wake
from app.domain.errors import NotAllowed, NotFound
from app.domain.event import Account, Event, EventKind
from app.pipeline.intake.plan import new_deployment
from app.pipeline.ports.services import Services


def replay(services: Services, delivery_id: str, actor: Account) -> list[Deployment]:
    """Plan the delivery's deployments anew, as `actor`'s own act.

    Raises NotFound, NotAllowed (nothing can follow from this delivery), RepositoryUnavailable or UnknownCommit.
    """
    with services.store.unit() as unit:
        delivery = unit.deliveries.get(delivery_id)
    if delivery is None:
        raise NotFound(f"there is no delivery {delivery_id}")
    event = delivery.event
    if event is None:
        raise NotAllowed(f"nothing follows from this delivery: {delivery.reason}")
    made = _made(services, delivery, replace(event, actor=actor))
    if not made:
        raise NotAllowed(f"no environment deploys {event.ref} of {event.repository.key}")
    for deployment in made:
        services.wakes.run(Wake(deployment.id, deployment.correlation_id, deployment.environment, Stage.VALIDATE_IDENTITY))
    return made


def _made(services: Services, delivery: Delivery, event: Event) -> list[Deployment]:
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
        made = [
            replace(new_deployment(services, delivery, event, e, sha), trigger=Trigger.REPLAY, position=position)
            for e in environments
        ]
        for deployment in made:
            unit.deployments.add(deployment, due_at)
        unit.deliveries.finish({delivery.id: None})
        unit.audit.append([services.recorder.entry(AuditAction.DELIVERY_REPLAYED, about=delivery, actor=event.actor.key)])
        unit.audit.append([_planned_entry(services, d) for d in made])
    return made


def _planned_entry(services: Services, made: Deployment) -> AuditEntry:
    return services.recorder.entry(AuditAction.DEPLOYMENT_PLANNED, {"trigger": made.trigger, "ref": made.ref}, about=made)
