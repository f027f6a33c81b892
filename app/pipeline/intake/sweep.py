"""Wake deployments that stand still. The database knows where each one stands, so a lost message costs only time."""

from __future__ import annotations

from datetime import timedelta

from app.pipeline.intake.admit import admit
from app.pipeline.ports.services import Services

BATCH = 200


def sweep(services: Services) -> int:
    """Send the chain of every deployment whose due time has passed, and wake the planner if the inbox holds any.

    Also fills places that stayed empty after a race between a planner and an ending deployment. Returns how many were due.
    """
    now = services.clock.now()
    with services.store.unit() as unit:
        admitted = admit(services, unit, unit.deployments.lanes())
        due = unit.deployments.take_due(now, timedelta(seconds=services.limits.sweep_after), BATCH)
        pending = unit.deliveries.oldest_due(now)
    for wake in admitted:
        services.wakes.run(wake)
    services.wakes.repeat(due)
    if pending is not None:
        services.wakes.plan(pending)
    return len(due)
