"""Handle a fault of a stage: the deployment ends, or it stands still with a visible reason until it is tried again.

A permanent fault ends the deployment. A passing one is waited out, for a day by default; meanwhile the deployment gives its
place in the window to others (`store/deployments.py`, `admit`). An unexpected one (a fault of the gate) and one that keeps the
environment's slot end after two hours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from app.domain.deployment import Deployment, Stage, State, Trigger, Wake
from app.domain.errors import BadConfiguration, GateError, RepositoryBusy, StoreUnavailable
from app.domain.text import plain_line, utc
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
            if isinstance(fault, RepositoryBusy):
                fault.when_free(deployment.id, lambda: services.wakes.run(Wake.of(deployment, stage)))
            raise
        return end(why, fault)


def _reason_to_end(services: Services, deployment: Deployment, stage: Stage, fault: Exception) -> str | None:
    """Return why `fault` ends the deployment. If it does not, store why the deployment stands still, and return None.

    The text of an unexpected fault goes to the log only, since it may hold anything.
    """
    match fault:
        case BadConfiguration():
            why = f"the configuration has faults: {fault}"
        case GateError():
            why = str(fault)
            if fault.permanent:
                return why
        case _:
            why = f"{stage.value} met an unexpected {type(fault).__name__}; the log tells more"
    with contextlib.suppress(StoreUnavailable):
        return _wait_out(services, deployment, why, _patience(services, deployment, fault))
    return None


def _patience(services: Services, deployment: Deployment, fault: Exception) -> timedelta:
    """Tell how long a fault is waited out: less if others wait for this deployment, or if the gate itself is at fault."""
    limits = services.limits
    holds_slot = deployment.state in (State.DISPATCHING, State.DISPATCHED) or deployment.trigger is Trigger.FAILURE
    is_short = holds_slot or not isinstance(fault, GateError)
    return timedelta(seconds=min(limits.keep_trying, limits.give_up_after) if is_short else limits.keep_trying)


def _wait_out(services: Services, deployment: Deployment, why: str, patience: timedelta) -> str | None:
    """Store what is waited for, since when and until when; return the reason to end if that time is over."""
    with services.store.unit() as unit:
        since = unit.deployments.note_fault(deployment.id)
        if since is None:
            return None
        if services.clock.now() >= since + patience:
            return f"{why}; given up: it has been so since {utc(since)}"
        times = f"so since {utc(since)}, tried again until {utc(since + patience)}"
        unit.deployments.explain(deployment.id, f"{plain_line(why)}; {times}")
    return None
