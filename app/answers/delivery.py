"""Answers about deliveries, and what followed from them. Only `--json` uses them; they never hold the body."""

from __future__ import annotations

from collections.abc import Iterable

from app.answers.answer import Json, fields_json
from app.answers.audit import entries_json
from app.answers.deployment import deployment_json
from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery
from app.domain.deployment import Deployment


def delivery_json(delivery: Delivery) -> Json:
    """Spell a delivery."""
    return fields_json(delivery)


def detail_json(delivery: Delivery, deployments: Iterable[Deployment], entries: Iterable[AuditEntry]) -> Json:
    """Spell a delivery with the deployments that followed, and its audit entries."""
    planned = [deployment_json(deployment) for deployment in deployments]
    return delivery_json(delivery) | {"deployments": planned, "audit": entries_json(entries)}
