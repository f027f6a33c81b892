"""The five stages as named Celery tasks, and the planner that starts their chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sentry_sdk
import structlog
from celery import Task

from app.domain.deployment import Stage
from app.domain.errors import GateError
from app.pipeline.intake.plan import PlanResult, plan, resolve
from app.pipeline.line.authorize import authorize
from app.pipeline.line.dispatch import dispatch
from app.pipeline.line.grant import grant
from app.pipeline.line.identify import identify
from app.pipeline.line.settle import settle
from app.pipeline.line.stage import Outcome
from app.pipeline.ports.services import Services
from app.store.queue.wakes import PLAN, RESOLVE
from workers.celery import app, process, stopping
from workers.solo import OnePerName, Solo

_log = structlog.get_logger("tidegate.step")


@contextmanager
def bind_correlation(**names: str) -> Iterator[None]:
    """Bind ids to every log line of the block, and to the task's scope in Sentry, which outlives the block.

    Sentry's Celery integration opens that scope. It reports a task's exception after the block has ended.
    """
    for name, value in names.items():
        sentry_sdk.set_tag(name, value)
    with structlog.contextvars.bound_contextvars(**names):
        yield


@contextmanager
def wait_out(step: str) -> Iterator[None]:
    """Log an outage in one line and end: the next tick comes soon and does the same."""
    try:
        yield
    except GateError as fault:
        if fault.permanent:
            raise
        _log.warning("step", step=step, outcome="later", error=fault.code, detail=str(fault))


def _run(task: Task[Any, Any], stage: Stage, verb: Callable[[Services, str], Outcome], ids: tuple[str, str]) -> None:
    deployment_id, correlation_id = ids
    services = process().services
    with bind_correlation(deployment=deployment_id, correlation=correlation_id, step=stage.value):
        try:
            outcome = verb(services, deployment_id)
        except GateError as fault:
            if fault.permanent:
                raise
            _log.warning("step", outcome="later", error=fault.code, detail=str(fault))
            outcome = Outcome("later", goes_on=False)  # the sweeper wakes this stage again
        else:
            _log.info("step", outcome=outcome.outcome)
        if not outcome.goes_on:
            task.request.chain = None
        for wake in outcome.wakes:
            services.wakes.run(wake)


@app.task(name=Stage.VALIDATE_IDENTITY.value, bind=True)
def validate_identity(self: Task[Any, Any], deployment_id: str, correlation_id: str) -> None:
    """Run stage 1, unless another thread is at it: git may take longer than the sweeper's patience."""
    with _at_git.take(deployment_id) as is_taken:
        if is_taken:
            self.request.chain = None
        else:
            _run(self, Stage.VALIDATE_IDENTITY, identify, (deployment_id, correlation_id))


@app.task(name=Stage.CHECK_PERMISSION.value, bind=True)
def check_permission(self: Task[Any, Any], deployment_id: str, correlation_id: str) -> None:
    """Run stage 2."""
    _run(self, Stage.CHECK_PERMISSION, authorize, (deployment_id, correlation_id))


@app.task(name=Stage.INJECT_TOKEN.value, bind=True)
def inject_token(self: Task[Any, Any], deployment_id: str, correlation_id: str) -> None:
    """Run stage 3."""
    _run(self, Stage.INJECT_TOKEN, grant, (deployment_id, correlation_id))


@app.task(name=Stage.DISPATCH_DEPLOY.value, bind=True)
def dispatch_deploy(self: Task[Any, Any], deployment_id: str, correlation_id: str) -> None:
    """Run stage 4, if this process can mint tokens.

    In another process only a forged message asks for it, and each try that cannot succeed would use one up.
    """
    if process().settings.master_key is not None:
        return _run(self, Stage.DISPATCH_DEPLOY, dispatch, (deployment_id, correlation_id))
    self.request.chain = None
    _log.warning("step", step=Stage.DISPATCH_DEPLOY.value, outcome="not here", deployment=deployment_id)


@app.task(name=Stage.CONFIRM_DEPLOY.value, bind=True)
def confirm_deploy(self: Task[Any, Any], deployment_id: str, correlation_id: str) -> None:
    """Run stage 5."""
    _run(self, Stage.CONFIRM_DEPLOY, settle, (deployment_id, correlation_id))


@app.task(name=PLAN)
def plan_delivery(delivery_id: str) -> None:
    """Drain the inbox in batches and start the chains; `delivery_id` is only the newest delivery that was seen."""
    with bind_correlation(step=PLAN), wait_out(PLAN):
        _planner.run(lambda: _drain(process().services, delivery_id))


@app.task(name=RESOLVE)
def resolve_delivery(delivery_id: str) -> None:
    """Find the commit of a tag, and start the chains that follow."""
    with bind_correlation(step=RESOLVE, correlation=delivery_id), wait_out(RESOLVE), _at_git.take(delivery_id) as is_taken:
        if not is_taken:
            services = process().services
            _start(services, resolve(services, delivery_id))


_planner = Solo()
_at_git = OnePerName()


def _drain(services: Services, newest: str) -> None:
    """Plan until nothing is left. If this worker is stopping, wake another one to go on."""
    planned = PlanResult((), (), has_more=True)
    while planned.has_more and not stopping.is_set():
        planned = plan(services, planned.after)
        _start(services, planned)
    if planned.has_more:
        services.wakes.plan(newest)


def _start(services: Services, planned: PlanResult) -> None:
    for deployment in planned.deployments:
        _log.info("step", outcome="planned", deployment=deployment.id, correlation=deployment.correlation_id)
    for wake in planned.wakes:
        services.wakes.run(wake)
    for delivery_id in planned.unresolved:
        services.wakes.resolve(delivery_id)
