"""Stage 5: poll the targets, check the service's health, and call it a release or a failure."""

from __future__ import annotations

from datetime import datetime, timedelta

from app.domain.deployment import NEXT_STAGE, Deployment, DispatchRow, Progress, Stage, State
from app.domain.environment import HealthCheck
from app.domain.text import utc
from app.integrations.targets.protocol import Report
from app.pipeline.line.fail import fail
from app.pipeline.line.on_fault import attempt
from app.pipeline.line.stage import NOT_MY_TURN, Move, Outcome, conclude
from app.pipeline.ports.services import Guard, Services


def settle(services: Services, deployment_id: str) -> Outcome:
    """Run `confirm_deploy`: end the deployment, or look again when it is due (due times live in the database)."""
    started_at = services.clock.now()
    with services.store.reading() as unit:
        deployment = unit.deployments.get(deployment_id)
        rows = unit.dispatches.of(deployment_id)
    if deployment is None or deployment.has_ended or NEXT_STAGE[deployment.state] is not Stage.CONFIRM_DEPLOY:
        return NOT_MY_TURN
    return attempt(
        services,
        deployment,
        Stage.CONFIRM_DEPLOY,
        lambda: _settle(services, services.guard(), deployment, rows, started_at),
        lambda why, _: fail(services, deployment_id, Stage.CONFIRM_DEPLOY, why, started_at),
    )


def _settle(services: Services, guard: Guard, deployment: Deployment, rows: list[DispatchRow], started_at: datetime) -> Outcome:
    rows = [_poll(services, guard, row) for row in rows]
    running = [row.dispatch.target for row in rows if row.progress is Progress.RUNNING]
    if running and services.clock.now() < deployment.updated_at + timedelta(seconds=services.limits.give_up_after):
        return _look_again(services, deployment.id, "the target is still working")
    if running:
        reason = f"{', '.join(running)}: has been working since {utc(deployment.updated_at)}, longer than any start may take"
        return fail(services, deployment.id, Stage.CONFIRM_DEPLOY, reason, started_at)
    failure = _why_failed(rows)
    if failure is not None:
        return fail(services, deployment.id, Stage.CONFIRM_DEPLOY, failure, started_at)
    environment = guard.environment(deployment.environment)
    if environment is None:
        reason = f"the configuration no longer has an environment {deployment.environment}, so its health cannot be checked"
        return fail(services, deployment.id, Stage.CONFIRM_DEPLOY, reason, started_at)
    if environment.health is None:
        return _succeed(services, deployment, started_at, "no health check is configured")
    return _settle_by_health(services, deployment, environment.health, rows, started_at)


def _why_failed(rows: list[DispatchRow]) -> str | None:
    """Say what went wrong on which target. A failed target comes before those that were not started because of it."""
    for progress in (Progress.FAILED, Progress.UNKNOWN):
        for row in rows:
            if row.progress is progress:
                return f"{row.dispatch.target}: {row.detail or 'the target does not know this dispatch'}"
    return None


def _poll(services: Services, guard: Guard, row: DispatchRow) -> DispatchRow:
    if row.progress is not Progress.RUNNING:
        return row
    target = guard.targets.get(row.dispatch.target)
    gone = Report(Progress.FAILED, "the configuration no longer has this target")
    report = target.poll(row.dispatch) if target is not None else gone
    if report.progress is Progress.RUNNING:
        return row
    now = services.clock.now()
    with services.store.unit() as unit:
        unit.dispatches.observe(row.dispatch.id, report.progress, report.detail)
    return DispatchRow(row.dispatch, report.progress, report.detail, now)


def _settle_by_health(
    services: Services, deployment: Deployment, health: HealthCheck, rows: list[DispatchRow], started_at: datetime
) -> Outcome:
    is_healthy, answer = services.health.check(health.url)
    if is_healthy:
        return _succeed(services, deployment, started_at, answer)
    ended_at = max(r.reported_at for r in rows)
    if services.clock.now() < ended_at + timedelta(seconds=health.within):
        return _look_again(services, deployment.id, f"not healthy yet: {answer}")
    reason = f"not healthy within {health.within:g} s: {answer}"
    return fail(services, deployment.id, Stage.CONFIRM_DEPLOY, reason, started_at)


def _look_again(services: Services, deployment_id: str, why: str) -> Outcome:
    with services.store.unit() as unit:
        unit.deployments.defer(deployment_id, services.clock.now() + timedelta(seconds=services.limits.poll_every), why)
    return Outcome(why, goes_on=False)


def _succeed(services: Services, deployment: Deployment, started_at: datetime, health: str) -> Outcome:
    with services.store.unit() as unit:
        unit.slots.lock(deployment.environment)
        move = Move(State.SUCCEEDED, {"health": health})
        return conclude(services, unit, deployment, Stage.CONFIRM_DEPLOY, move, started_at)
