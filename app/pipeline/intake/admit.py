"""Let deployments get under way, a few of each environment at a time; the others stand in the database.

So one repository's flood fills no queue: at most `window` of an environment have a message. Those that stand in its lane
have no due time; who ends lets the next one in, in the same transaction, so no place is lost with a message. A person's
own acts (rollback, replay) and the gate's redeployments do not stand in line: they are under way from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from app.domain.deployment import Wake
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit


def admit(services: Services, unit: Unit, environments: Sequence[str]) -> list[Wake]:
    """Give the free places of these environments to the oldest in their lanes; the caller wakes them after the commit."""
    if not environments:
        return []
    due_at = services.clock.now() + timedelta(seconds=services.limits.sweep_after)
    return unit.deployments.admit(environments, window=services.limits.window, due_at=due_at)
