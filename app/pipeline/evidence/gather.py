"""Gather what git and the gate's own records show of all that a deployment brings. Next: `brought.py`, then `facts.py`.

It is evidence for policies, never identity. Stage 1 gathers it, and a later decision gathers it again if it may have changed
(`decide/judgement.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.deployment import Deployment
from app.domain.push import Ground
from app.pipeline.evidence.brought import brought_by
from app.pipeline.evidence.facts import facts_of
from app.pipeline.evidence.going_back import evidence_of_rollback
from app.pipeline.ports.services import Guard, Services


def evidence_of(
    services: Services, guard: Guard, deployment: Deployment, known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Gather the evidence about all that is new. `known` is the evidence of an earlier look.

    Raises RepositoryUnavailable, except for a rollback.
    """
    ground = ground_of(services, deployment)
    if deployment.is_rollback:
        return evidence_of_rollback(services, guard, deployment, ground, known)
    return facts_of(services, guard, deployment, brought_by(guard, deployment, ground), known)


def ground_of(services: Services, deployment: Deployment) -> Ground:
    """Return what the facts are measured against at this moment."""
    with services.store.reading() as unit:
        return unit.history.ground(deployment)
