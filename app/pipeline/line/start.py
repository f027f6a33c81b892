"""Start every target of a deployment once, under a lease, and write down each answer (second half of `dispatch.py`)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from app.domain.deployment import Deployment, Dispatch, DispatchRow, Progress, Stage, State
from app.domain.errors import BadConfiguration, GateError, RepositoryBusy, StoreUnavailable
from app.domain.grant import Grant
from app.integrations.targets.protocol import Order, Report
from app.pipeline.decide.judgement import decide_now
from app.pipeline.line.fail import fail
from app.pipeline.line.lease import keep_alive
from app.pipeline.line.stage import Move, Outcome, conclude
from app.pipeline.ports.services import Guard, Services
from app.pipeline.ports.stores.unit import Unit

LONGEST_WAIT = 60  # for a turn, of about a second each: git itself ends within a minute
_BUSY = "another worker is starting it"
_NO_TARGET = "the configuration no longer has this target"


@dataclass(frozen=True, slots=True)
class _Answer:
    """A target's report, and the dispatch that we hold the lease of (None: the report is stored already)."""

    report: Report
    dispatch: Dispatch | None = None
    token_id: str | None = None


def start_all(
    services: Services,
    guard: Guard,
    deployment: Deployment,
    rows: list[DispatchRow],
    started_at: datetime,
    leased: Dispatch | None = None,
) -> Outcome:
    """Start the targets that have not been started, one after the other; stop at the first failure.

    `leased` is the dispatch that is under our own lease already.
    """
    reports: dict[str, Report] = {}
    for row in rows:
        answer = _answer(services, guard, deployment, row, leased)
        if isinstance(answer, Outcome):
            return answer
        reports[row.dispatch.target] = answer.report
        is_last = row is rows[-1] or answer.report.progress is Progress.FAILED
        with services.store.unit() as unit:
            halted = _write_down(services, unit, deployment, answer)
            if halted is not None:
                return halted
            if is_last and _why_failed(reports) is None:
                return _conclude_dispatch(services, unit, deployment, reports, started_at)
        if is_last:
            break
    failure = _why_failed(reports)
    if failure is not None:
        return fail(services, deployment.id, Stage.DISPATCH_DEPLOY, failure, started_at)
    with services.store.unit() as unit:
        return _conclude_dispatch(services, unit, deployment, reports, started_at)


def _why_failed(reports: dict[str, Report]) -> str | None:
    """Say which target failed, or None while any target is still working: it is waited for (invariant 6)."""
    if any(r.progress is Progress.RUNNING for r in reports.values()):
        return None
    return next((f"{name}: {r.detail}" for name, r in reports.items() if r.progress is Progress.FAILED), None)


def _conclude_dispatch(
    services: Services, unit: Unit, deployment: Deployment, reports: dict[str, Report], started_at: datetime
) -> Outcome:
    move = Move(State.DISPATCHED, {"targets": {n: r.progress.value for n, r in reports.items()}})
    return conclude(services, unit, deployment, Stage.DISPATCH_DEPLOY, move, started_at)


def _answer(
    services: Services, guard: Guard, deployment: Deployment, row: DispatchRow, leased: Dispatch | None
) -> _Answer | Outcome:
    """Get one target's answer: the stored one, its answer to a poll, or its answer to a start."""
    if row.progress is not Progress.UNKNOWN:
        return _Answer(Report(row.progress, row.detail))
    if leased is not None and row.dispatch is leased:  # decided in the transaction of the intent
        with keep_alive(services, leased):
            return _start(services, guard, deployment, leased)
    dispatch = _claim(services, deployment, row)
    if dispatch is None:
        return Outcome(_BUSY, goes_on=False)
    return _ask_or_start(services, guard, deployment, dispatch, row.detail)


def _claim(services: Services, deployment: Deployment, row: DispatchRow) -> Dispatch | None:
    with services.store.unit() as unit:
        dispatch = unit.dispatches.claim(row.dispatch.id, services.holder, services.limits.lease)
        if dispatch is None:
            soon = services.clock.now() + timedelta(seconds=services.limits.lease)
            unit.deployments.defer(deployment.id, soon, _BUSY)
        return dispatch


def _write_down(services: Services, unit: Unit, deployment: Deployment, answer: _Answer) -> Outcome | None:
    """Store the target's answer; return an outcome if the deployment cannot go on from there."""
    report, dispatch = answer.report, answer.dispatch
    if dispatch is None:
        return None
    if not unit.dispatches.report(dispatch, report.progress, report.detail, answer.token_id):
        return Outcome("the lease was lost to another worker", goes_on=False)
    if report.progress is not Progress.UNKNOWN:
        return None
    pause = min(2**dispatch.attempts, 60)
    why = f"{dispatch.target}: trying again in {pause} s: {report.detail}"
    unit.deployments.defer(deployment.id, services.clock.now() + timedelta(seconds=pause), why)
    return Outcome(why, goes_on=False)


def _ask_or_start(services: Services, guard: Guard, deployment: Deployment, dispatch: Dispatch, last: str) -> _Answer:
    """Start, unless the target has begun already, or the right was lost after the intent (invariant 8)."""
    target = guard.targets.get(dispatch.target)
    if target is None:
        return _Answer(Report(Progress.FAILED, _NO_TARGET), dispatch)
    with keep_alive(services, dispatch):
        if dispatch.attempts > 1:
            report = target.poll(dispatch)
            if report.progress is not Progress.UNKNOWN:
                return _Answer(report, dispatch)
            if dispatch.attempts > services.limits.dispatch_attempts:
                return _Answer(Report(Progress.FAILED, f"gave up after {dispatch.attempts - 1} attempts: {last}"), dispatch)
        judgement = decide_now(services, guard, deployment)
        if not judgement.is_allowed:
            return _Answer(Report(Progress.FAILED, judgement.reason), dispatch)
        return _start(services, guard, deployment, dispatch)


def _start(services: Services, guard: Guard, deployment: Deployment, dispatch: Dispatch) -> _Answer:
    target = guard.targets.get(dispatch.target)
    if target is None:
        return _Answer(Report(Progress.FAILED, _NO_TARGET), dispatch)
    with services.store.reading() as unit:
        result = unit.deployments.result(deployment.id, Stage.INJECT_TOKEN)
    if result is None:
        raise GateError("inject_token has left no result")
    try:
        token = services.tokens.mint(Grant.read(result.detail))
    except GateError as fault:
        return _Answer(_refusal_report(fault), dispatch)
    order = Order(
        dispatch=dispatch,
        repository=deployment.repository.key,
        ref=deployment.ref,
        sha=deployment.sha,
        is_rollback=deployment.is_rollback,
        export=lambda folder: _export(guard, deployment, folder),
    )
    try:
        return _Answer(target.start(order, token), dispatch, token.id)
    except GateError as fault:
        return _Answer(_refusal_report(fault), dispatch, token.id)


def _refusal_report(fault: GateError) -> Report:
    """Say what a refusal to start means for this target; other targets of the deployment may be working meanwhile."""
    if isinstance(fault, StoreUnavailable):
        raise fault
    may_pass = not fault.permanent or isinstance(fault, BadConfiguration)
    return Report(Progress.UNKNOWN if may_pass else Progress.FAILED, str(fault))


def _export(guard: Guard, deployment: Deployment, folder: Path) -> None:
    """Export the commit; fetch it first, for a mirror that is lost or was never on this host."""
    key = deployment.repository.key
    _fetch(guard, deployment)
    guard.repositories.export(key, deployment.sha, folder)


def _fetch(guard: Guard, deployment: Deployment) -> None:
    """Fetch the commit, and wait for a turn if need be: the start is under way, and a refusal would count as an attempt."""
    for _ in range(LONGEST_WAIT):
        with suppress(RepositoryBusy):
            guard.repositories.fetch(deployment.repository.key, deployment.ref, deployment.sha)
            return
    guard.repositories.fetch(deployment.repository.key, deployment.ref, deployment.sha)
