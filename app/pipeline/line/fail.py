"""End a deployment that went wrong, and bring the last good release back, once."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.domain.audit import AuditAction
from app.domain.deployment import WAITING, Deployment, Stage, State, Trigger, Wake
from app.domain.event import GATE_ACCOUNT
from app.pipeline.line.rollback import deployment_of
from app.pipeline.line.stage import Move, Outcome, conclude
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit


def fail(services: Services, deployment_id: str, stage: Stage, reason: str, started_at: datetime) -> Outcome:
    """Mark as failed and, in the same transaction, plan the redeployment of the last good release, never of an override's.

    The redeployment inherits the environment's slot, so that nothing gets in between. It is the gate's own act, and
    policy decides about it like any other. A redeployment that fails is not followed by another. If nothing was to be
    started yet, there is nothing to bring back.
    """
    with services.store.unit() as unit:
        unlocked = unit.deployments.get(deployment_id)
        if unlocked is not None:
            unit.slots.lock(unlocked.environment)
        current = unit.deployments.lock(deployment_id)
        if current is None or current.has_ended:
            return Outcome("already ended", goes_on=False)
        move = Move(State.FAILED, reason=reason)
        outcome = conclude(services, unit, current, stage, move, started_at)
        again = _redeployment(services, unit, current) if current.state not in WAITING else None
        if again is None:
            return outcome
        unit.slots.hold(current.environment, again.id)
        wake = Wake.of(again, Stage.VALIDATE_IDENTITY)
        admitted = (w for w in outcome.wakes if w.stage is Stage.VALIDATE_IDENTITY)  # granted ones go on waiting
        return Outcome(outcome.outcome, False, (wake, *admitted))


def _redeployment(services: Services, unit: Unit, failed: Deployment) -> Deployment | None:
    if failed.trigger is Trigger.FAILURE:
        return None
    release = unit.deployments.last_good_release(failed.environment)
    if release is None:
        return None
    # It takes the failed deployment's place in the order, so later deliveries still come after it.
    again = deployment_of(
        services,
        release,
        actor=GATE_ACCOUNT,
        trigger=Trigger.FAILURE,
        position=failed.position,
        correlation_id=failed.correlation_id,
    )
    unit.deployments.add(again, services.clock.now() + timedelta(seconds=services.limits.sweep_after))
    detail = {"trigger": again.trigger, "release": release.id, "after": failed.id}
    unit.audit.append([services.recorder.entry(AuditAction.DEPLOYMENT_PLANNED, detail, about=again)])
    return again
