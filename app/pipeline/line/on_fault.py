"""Handle a fault of a stage: the deployment ends, or it stands still with a visible reason until it is tried again.

A passing fault waits for as long as it takes. A permanent fault ends the deployment. An unexpected one (a fault of the gate)
is tried again like a passing one. That does not go on for ever, since the deployment may hold its environment's slot.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from app.domain.deployment import Deployment, Stage
from app.domain.errors import BadConfiguration, GateError, StoreUnavailable
from app.domain.text import plain_line
from app.pipeline.ports.services import Services

Result = TypeVar("Result")


def attempt(
    services: Services,
    deployment: Deployment,
    stage: Stage,
    act: Callable[[], Result],
    end: Callable[[str, Exception], Result],
) -> Result:
    """Run `act`. If it raises for good, `end` the deployment with the reason; else raise, and the sweeper comes back."""
    try:
        return act()
    except Exception as fault:
        why = _reason_to_end(services, deployment, stage, fault)
        if why is None:
            raise
        return end(why, fault)


def _reason_to_end(services: Services, deployment: Deployment, stage: Stage, fault: Exception) -> str | None:
    """Return why `fault` ends the deployment. If it does not, store why the deployment stands still, and return None.

    The text of an unexpected fault goes to the log only, since it may hold anything.
    """
    match fault:
        case BadConfiguration():
            ends, why = False, f"the configuration has faults: {fault}"
        case GateError():
            ends, why = fault.permanent, str(fault)
        case _:
            patience = timedelta(seconds=services.limits.give_up_after)
            ends = services.clock.now() > deployment.updated_at + patience
            why = f"{stage.value} met an unexpected {type(fault).__name__}; the log tells more"
    if ends:
        return why
    with contextlib.suppress(StoreUnavailable), services.store.unit() as unit:
        unit.deployments.explain(deployment.id, plain_line(why))
    return None
