"""Draft the deployments that a delivery asks for, and the audit entries about it. Written by `plan.py` and `plan_one.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from app.domain.audit import AuditAction, AuditEntry
from app.domain.delivery import Delivery
from app.domain.deployment import Deployment, State, Trigger
from app.domain.environment import Environment
from app.domain.event import Event
from app.pipeline.intake.admit import IN_LANE
from app.pipeline.ports.services import Guard, Services


class DeliveryPlan(NamedTuple):
    """A delivery and the deployments that it asks for."""

    delivery: Delivery
    deployments: tuple[Deployment, ...]


def matching_environments(guard: Guard, delivery: Delivery) -> list[Environment]:
    """List the environments that deploy this event."""
    event = delivery.event
    return [e for e in guard.environments if event is not None and e.deploys_event(event)]


def plan_of(services: Services, delivery: Delivery, environments: Sequence[Environment], *, sha: str | None) -> DeliveryPlan:
    """Draft one deployment for each environment."""
    event = delivery.event
    if event is None or sha is None:
        return DeliveryPlan(delivery, ())
    new = (new_deployment(services, delivery, event, e, sha) for e in environments)
    return DeliveryPlan(delivery, tuple(replace(deployment, reason=IN_LANE) for deployment in new))


def new_deployment(services: Services, delivery: Delivery, event: Event, environment: Environment, sha: str) -> Deployment:
    """Make the deployment that `event` asks for, with the commit pinned."""
    now = services.clock.now()
    return Deployment(
        id=services.ids.new(),
        position=delivery.position,
        delivery_id=delivery.id,
        correlation_id=delivery.id,
        environment=environment.name,
        repository=event.repository,
        ref=event.ref,
        before=event.before,
        sha=sha,
        actor=event.actor,
        trigger=Trigger(event.kind.value),
        release_id=None,
        state=State.PLANNED,
        reason=None,
        principal=None,
        created_at=now,
        updated_at=now,
    )


def ignored_entry(services: Services, delivery: Delivery, reason: str) -> AuditEntry:
    """Make the entry that nothing follows from a delivery."""
    sender = f"forge:{delivery.forge}"
    return services.recorder.entry(AuditAction.DELIVERY_IGNORED, {"reason": reason}, about=delivery, actor=sender)


def planned_entry(services: Services, deployment: Deployment) -> AuditEntry:
    """Make the entry that a deployment was planned."""
    detail: dict[str, object] = {"ref": deployment.ref, "repository": deployment.repository.key, "trigger": deployment.trigger}
    if deployment.act:
        detail["act"] = deployment.act
    if deployment.doubt is not None:
        detail["doubt"] = deployment.doubt.why
    return services.recorder.entry(AuditAction.DEPLOYMENT_PLANNED, detail, about=deployment)
