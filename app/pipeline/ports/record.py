"""Make audit entries for what a step did; the step appends them in its own transaction."""

from __future__ import annotations

from typing import Any

from app.domain.audit import AuditEntry
from app.domain.deployment import Deployment
from app.pipeline.ports.services import Services


def entry_of(services: Services, deployment: Deployment, verb: str, **detail: Any) -> AuditEntry:
    """Describe that `deployment:verb` happened; the actor is the proven principal, or else the forge account."""
    return AuditEntry(
        id=services.ids.new(),
        at=services.clock.now(),
        action=f"deployment:{verb}",
        actor=deployment.principal or deployment.actor.key,
        deployment_id=deployment.id,
        delivery_id=deployment.delivery_id,
        correlation_id=deployment.correlation_id,
        detail={"environment": deployment.environment, "sha": deployment.sha, **detail},
    )


def delivery_entry(services: Services, delivery_id: str, verb: str, actor: str, **detail: Any) -> AuditEntry:
    """Describe that `delivery:verb` happened."""
    return AuditEntry(
        id=services.ids.new(),
        at=services.clock.now(),
        action=f"delivery:{verb}",
        actor=actor,
        deployment_id=None,
        delivery_id=delivery_id,
        correlation_id=delivery_id,
        detail=detail,
    )
