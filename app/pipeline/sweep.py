"""Start again whatever stands still: the database knows where, so lost messages cost time and nothing else."""

from __future__ import annotations

from datetime import timedelta

from app.domain.deployment import NEXT_STAGE
from app.pipeline.services import Services

BATCH = 200


def sweep(services: Services) -> int:
    """Send the chain of every deployment whose due time has passed, and wake the planner if the inbox holds any.

    Returns how many deployments were sent on.
    """
    now = services.clock.now()
    with services.store.unit() as unit:
        due = unit.deployments.take_due(now, timedelta(seconds=services.limits.sweep_after), BATCH)
        pending = unit.deliveries.oldest_due(now)
    for deployment_id, correlation_id, state in due:
        services.wakes.run(deployment_id, correlation_id, NEXT_STAGE[state])
    if pending is not None:
        services.wakes.plan(pending)
    return len(due)
