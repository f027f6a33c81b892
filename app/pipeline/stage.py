"""The frame of a stage: read, look outside, then move, record and audit in one transaction (invariant 3).

A stage that has already run, or whose turn it is not, is a no-op; so messages may be lost, doubled or late. One that
cannot go on leaves word of why it stands, for whoever looks; what goes on when it raises: `attempt.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.domain.deployment import ENDED, NEXT_STAGE, Deployment, Stage, StageResult, State, Step, Wake
from app.domain.errors import GateError
from app.domain.plain import plain_line
from app.pipeline.admit import admit
from app.pipeline.attempt import reason_to_end
from app.pipeline.entries import entry_of
from app.pipeline.services import Services
from app.pipeline.stores import Unit


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stage's turn ended. `goes_on`: the next stage may run now; `wakes`: others that may now run."""

    outcome: str
    goes_on: bool
    wakes: tuple[Wake, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a stage found out: the state to move to, the audit verb, and the evidence."""

    state: State
    verb: str
    detail: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    principal: str | None = None


NOT_MY_TURN = Outcome("nothing to do", goes_on=False)
OVERTAKEN = Outcome("another worker was faster", goes_on=False)


def run_stage(services: Services, deployment_id: str, stage: Stage, find: Callable[[Deployment], Finding]) -> Outcome:
    """Run one stage to its result, once. `find` may call outside and must not write."""
    started_at = services.clock.now()
    with services.store.reading() as unit:
        deployment = unit.deployments.get(deployment_id)
    if deployment is None or deployment.has_ended:
        return NOT_MY_TURN
    if NEXT_STAGE[deployment.state] is not stage:
        return Outcome("already done", goes_on=is_past(deployment, stage))
    try:
        finding = find(deployment)
    except Exception as fault:
        why = reason_to_end(services, deployment, stage, fault)
        if why is None:
            raise  # the sweeper comes back to it
        code = fault.code if isinstance(fault, GateError) else "internal"
        finding = Finding(State.FAILED, "failed", {"code": code}, reason=why)
    if finding.state not in ENDED:
        with services.store.single() as unit:
            return conclude(services, unit, deployment, stage, finding, started_at)
    with services.store.unit() as unit:
        unit.slots.lock(deployment.environment)  # always before a deployment's row: one order, no deadlock
        return conclude(services, unit, deployment, stage, finding, started_at)


def is_past(deployment: Deployment, stage: Stage) -> bool:
    """Tell whether `stage` lies behind the deployment (then the chain may go on to the stage it is at)."""
    order = list(Stage)
    return order.index(NEXT_STAGE[deployment.state]) > order.index(stage)


def conclude(
    services: Services, unit: Unit, deployment: Deployment, stage: Stage, finding: Finding, started_at: datetime
) -> Outcome:
    """Write a stage's result, state and audit entry, if it still stands where `deployment` does; free its slot if it ends.

    Where `finding` ends the deployment, the caller has locked the slot before.
    """
    now = services.clock.now()
    ended = finding.state in ENDED
    why = plain_line(finding.reason) if finding.reason else None
    step = Step(
        finding.state,
        None if ended else now + timedelta(seconds=services.limits.sweep_after),
        entry_of(services, deployment, finding.verb, **finding.detail, **({"reason": why} if why else {})),
        StageResult(stage, finding.state.value, finding.detail, started_at, now),
        why,
        finding.principal,
    )
    if not unit.deployments.advance(deployment, step):
        return OVERTAKEN
    return Outcome(finding.state.value, goes_on=not ended, wakes=_followers(services, unit, deployment) if ended else ())


def _followers(services: Services, unit: Unit, ended: Deployment) -> tuple[Wake, ...]:
    """Free the slot and the place of one that ended; list who may go on now.

    Of those that wait for the slot only the newest is told: it supersedes all others, and with a message to each that
    waits a backlog would feed itself.
    """
    newest = unit.slots.release(ended.environment, ended.id)
    return (*((newest,) if newest else ()), *admit(services, unit, [ended.environment]))
