"""Let deployments get under way, a few of each environment at a time. The others stand in the database, in its lane.

So a flood of one repository does not fill the queue: at most `window` deployments of an environment have a message. Those in
the lane have no due time. A deployment that ends admits the next one in the same transaction, so a lost message does not lose
a place. One that meets a passing fault gives its place back, and the sweeper admits another. A person's own acts (rollback,
replay) and the gate's redeployments skip the lane.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from app.domain.deployment import Wake
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit

IN_LANE = "waits its turn: as many of this environment are under way as may be (TIDEGATE_WINDOW), and each of them has an end"


def admit(services: Services, unit: Unit, environments: Sequence[str]) -> list[Wake]:
    """Give the free places of these environments to the oldest in their lanes. The caller sends the wakes after the commit."""
    if not environments:
        return []
    due_at = services.clock.now() + timedelta(seconds=services.limits.sweep_after)
    return unit.deployments.admit(environments, window=services.limits.window, due_at=due_at)
