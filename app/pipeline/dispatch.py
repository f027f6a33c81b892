"""Stage 4: commit the intent, mint the token in memory, start every target once. Next: `settle.py`.

Order of durable writes, and what a crash right after each means:
1. slot held, dispatch rows, state `dispatching` (one transaction): the sweeper comes back here and starts them;
2. lease taken: the lease runs out, the next worker asks the target, and starts again under the same key if it can't tell;
3. target started, nothing written: as 2, and the key keeps the target from doing it twice;
4. what the target said is written: skipped the next time.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from app.domain.decision import Effect
from app.domain.deployment import Deployment, Dispatch, DispatchRow, Progress, Stage, State, Wake
from app.domain.errors import BadConfiguration, GateError, StoreUnavailable
from app.integrations.targets.protocol import Order, Report
from app.pipeline.attempt import reason_to_end
from app.pipeline.authorize import decide_now, evidence
from app.pipeline.entries import entry_of
from app.pipeline.fail import fail
from app.pipeline.grant import granted
from app.pipeline.lease import kept_alive
from app.pipeline.services import Guard, Services
from app.pipeline.stage import NOT_MY_TURN, Finding, Outcome, conclude, is_past
from app.pipeline.stores import Unit

BUSY_SECONDS = 30
_OUTRUN = Finding(State.SUPERSEDED, "superseded", reason="a newer deployment of this environment took its place")


def dispatch(services: Services, deployment_id: str) -> Outcome:
    """Run `dispatch_deploy`: one dispatch at a time per environment, in the order of receipt (invariants 4, 6, 8)."""
    guard = services.guard()
    started_at = services.clock.now()
    with services.store.reading() as unit:
        deployment = unit.deployments.get(deployment_id)
    if deployment is None or deployment.has_ended:
        return NOT_MY_TURN
    try:
        return _dispatch(services, guard, deployment, started_at)
    except Exception as fault:
        why = reason_to_end(services, deployment, Stage.DISPATCH_DEPLOY, fault)
        if why is None:
            raise  # the sweeper comes back to it
        return fail(services, deployment_id, Stage.DISPATCH_DEPLOY, why, started_at)


def _dispatch(services: Services, guard: Guard, deployment: Deployment, started_at: datetime) -> Outcome:
    if deployment.state is State.GRANTED:
        refusal = _claim_environment(services, guard, deployment, started_at)
        if refusal is not None:
            return refusal
    elif deployment.state is not State.DISPATCHING:
        return Outcome("already done", goes_on=is_past(deployment, Stage.DISPATCH_DEPLOY))
    return _start_all(services, guard, deployment, started_at)


def _claim_environment(services: Services, guard: Guard, deployment: Deployment, started_at: datetime) -> Outcome | None:
    """Take the environment's slot and write down the intent; return an outcome where that can't be done now."""
    refusal = _refused_by_order(services, deployment, started_at)
    if refusal is not None:
        return refusal
    against, detail = _last_check(services, guard, deployment)
    admitted: list[Wake] = []
    with services.store.unit() as unit:
        holder = unit.slots.lock(deployment.environment)
        current = unit.deployments.lock(deployment.id)
        if current is None or current.state is not State.GRANTED:
            return Outcome("another worker was faster", goes_on=False)
        if against is None and holder != current.id and unit.deployments.newer_exists(current.environment, current.position):
            against = _OUTRUN
        if against is not None:
            return conclude(services, unit, current, Stage.DISPATCH_DEPLOY, against, started_at)
        if holder != current.id:
            admitted = _supersede_older(services, unit, current, started_at)
        if holder not in (None, current.id):
            return replace(_waits(services, unit, current, holder), wakes=tuple(admitted))
        _intend(services, guard, unit, current, detail)
    for wake in admitted:  # now: the start may take its time
        services.wakes.run(wake)
    return None


def _refused_by_order(services: Services, deployment: Deployment, started_at: datetime) -> Outcome | None:
    """Look at the order first: in a backlog most are superseded or must wait, and need neither git nor policy for that."""
    with services.store.reading() as unit:
        holder = unit.slots.holder(deployment.environment)
        is_outrun = unit.deployments.newer_exists(deployment.environment, deployment.position)
    if holder in (None, deployment.id) and (not is_outrun or holder is not None):
        return None
    with services.store.unit() as unit:
        holder = unit.slots.lock(deployment.environment)
        current = unit.deployments.lock(deployment.id)
        if current is None or current.state is not State.GRANTED:
            return Outcome("another worker was faster", goes_on=False)
        if holder != current.id and unit.deployments.newer_exists(current.environment, current.position):
            return conclude(services, unit, current, Stage.DISPATCH_DEPLOY, _OUTRUN, started_at)
        if holder not in (None, current.id) and not unit.deployments.older_waiting(current.environment, current.position):
            return _waits(services, unit, current, holder)
    return None


def _waits(services: Services, unit: Unit, deployment: Deployment, holder: str | None) -> Outcome:
    why = f"waiting for {holder}"
    unit.deployments.defer(deployment.id, services.clock.now() + timedelta(seconds=BUSY_SECONDS), why)
    return Outcome(why, goes_on=False)


def _last_check(services: Services, guard: Guard, deployment: Deployment) -> tuple[Finding | None, dict[str, object]]:
    """Look once more at the rights and at the ref, as they are now: what was true when it was planned may not be."""
    reason, decision = decide_now(services, guard, deployment)
    if decision is None:
        return Finding(State.DENIED, "denied", reason=reason), {}
    detail = evidence(decision)
    if decision.effect is not Effect.ALLOW:
        return Finding(State.DENIED, "denied", detail, reason=decision.reason), {}
    if not deployment.is_rollback:
        stale = _why_stale(services, guard, deployment)
        if stale is not None:
            return Finding(State.SUPERSEDED, "superseded", reason=stale), {}
    return None, detail


def _why_stale(services: Services, guard: Guard, deployment: Deployment) -> str | None:
    """Say why the ref has left this commit behind, or None (invariant 5)."""
    key, ref, sha = deployment.repository.key, deployment.ref, deployment.sha
    repositories = guard.repositories
    head = repositories.head(key, ref)
    if head == sha:
        return None
    if head is None or not repositories.is_ancestor(key, sha, head):
        return f"{ref} does not contain {sha} any more"
    with services.store.reading() as unit:
        release = unit.deployments.last_release(deployment.environment)
    if release is None or release.ref != ref or release.sha == sha:
        return None
    # A delivery that comes late: the branch has gone on, and what is deployed already contains this commit.
    if repositories.is_ancestor(key, sha, release.sha) and repositories.is_ancestor(key, release.sha, head):
        return f"release {release.id} already contains {sha}"
    return None


def _supersede_older(services: Services, unit: Unit, deployment: Deployment, started_at: datetime) -> list[Wake]:
    """End older ones that wait; list those that come under way in their places (not those who wait as this one does)."""
    wakes: list[Wake] = []
    for older in unit.deployments.older_waiting(deployment.environment, deployment.position):
        finding = Finding(State.SUPERSEDED, "superseded", {"by": deployment.id}, reason=f"superseded by {deployment.id}")
        wakes += conclude(services, unit, older, Stage.DISPATCH_DEPLOY, finding, started_at).wakes
    return [w for w in wakes if w.stage is Stage.VALIDATE_IDENTITY]


def _intend(services: Services, guard: Guard, unit: Unit, deployment: Deployment, detail: dict[str, object]) -> None:
    environment = guard.environment(deployment.environment)
    names = environment.targets if environment else ()
    dispatches = [
        Dispatch(services.ids.new(), deployment.id, deployment.environment, name, deployment.position, 0, 0) for name in names
    ]
    unit.dispatches.intend(dispatches)
    unit.slots.hold(deployment.environment, deployment.id)
    due_at = services.clock.now() + timedelta(seconds=services.limits.sweep_after)
    unit.deployments.move(deployment, State.DISPATCHING, due_at=due_at)
    intents = {d.target: d.id for d in dispatches}
    unit.audit.append([entry_of(services, deployment, "dispatching", dispatches=intents, **detail)])


def _start_all(services: Services, guard: Guard, deployment: Deployment, started_at: datetime) -> Outcome:
    with services.store.reading() as unit:
        rows = unit.dispatches.of(deployment.id)
    reports: dict[str, Report] = {}
    for row in rows:
        report = _started(services, guard, deployment, row)
        if isinstance(report, Outcome):
            return report
        reports[row.dispatch.target] = report
        if report.progress is Progress.FAILED:
            break  # what has not been started need not be
    return _dispatched(services, deployment, reports, started_at)


def _dispatched(services: Services, deployment: Deployment, reports: dict[str, Report], started_at: datetime) -> Outcome:
    """Go on to confirm; end here only where a target failed and none is still at it (invariant 6: what runs is waited for)."""
    failed = next((f"{name}: {r.detail}" for name, r in reports.items() if r.progress is Progress.FAILED), None)
    if failed is not None and all(r.progress is not Progress.RUNNING for r in reports.values()):
        return fail(services, deployment.id, Stage.DISPATCH_DEPLOY, failed, started_at)
    with services.store.unit() as unit:
        current = unit.deployments.lock(deployment.id)
        if current is None or current.state is not State.DISPATCHING:
            return Outcome("another worker was faster", goes_on=False)
        finding = Finding(State.DISPATCHED, "dispatched", {"targets": {n: r.progress.value for n, r in reports.items()}})
        return conclude(services, unit, current, Stage.DISPATCH_DEPLOY, finding, started_at)


def _started(services: Services, guard: Guard, deployment: Deployment, row: DispatchRow) -> Report | Outcome:
    """Bring one target to an answer: the one already written, the one it gives to a poll, or a start."""
    if row.progress is not Progress.UNKNOWN:
        return Report(row.progress, row.detail)
    with services.store.unit() as unit:
        claimed = unit.dispatches.claim(row.dispatch.id, services.holder, services.limits.lease)
        if claimed is None:
            soon = services.clock.now() + timedelta(seconds=services.limits.lease)
            why = "another worker is starting it"
            unit.deployments.defer(deployment.id, soon, why)
            return Outcome(why, goes_on=False)
    report, token_id = _ask_or_start(services, guard, deployment, claimed, row.detail)
    with services.store.unit() as unit:
        if not unit.dispatches.report(claimed, report.progress, report.detail, token_id):
            return Outcome("the lease was lost to another worker", goes_on=False)
        if report.progress is Progress.UNKNOWN:
            pause = min(2**claimed.attempts, 60)
            why = f"{claimed.target}: trying again in {pause} s: {report.detail}"
            unit.deployments.defer(deployment.id, services.clock.now() + timedelta(seconds=pause), why)
            return Outcome(why, goes_on=False)
    return report


def _ask_or_start(
    services: Services, guard: Guard, deployment: Deployment, claimed: Dispatch, last: str
) -> tuple[Report, str | None]:
    target = guard.targets.get(claimed.target)
    if target is None:
        return Report(Progress.FAILED, "the configuration has no such target any more"), None
    with kept_alive(services, claimed):
        if claimed.attempts > 1:
            known = target.poll(claimed)
            if known.progress is not Progress.UNKNOWN:
                return known, None
            if claimed.attempts > services.limits.dispatch_attempts:
                return Report(Progress.FAILED, f"gave up after {claimed.attempts - 1} attempts: {last}"), None
            reason, decision = decide_now(services, guard, deployment)
            if decision is None or decision.effect is not Effect.ALLOW:
                return Report(Progress.FAILED, decision.reason if decision else reason), None
        return _start(services, guard, deployment, claimed)


def _start(services: Services, guard: Guard, deployment: Deployment, claimed: Dispatch) -> tuple[Report, str | None]:
    with services.store.reading() as unit:
        result = unit.deployments.result(deployment.id, Stage.INJECT_TOKEN)
    if result is None:
        raise GateError("inject_token has left no result")
    try:
        token = services.tokens.mint(granted(result.detail))
    except GateError as fault:
        return _unstarted(fault), None
    order = Order(
        dispatch=claimed,
        repository=deployment.repository.key,
        ref=deployment.ref,
        sha=deployment.sha,
        is_rollback=deployment.is_rollback,
        export=lambda folder: _export(guard, deployment, folder),
    )
    try:
        return guard.targets[claimed.target].start(order, token), token.id
    except GateError as fault:
        return _unstarted(fault), token.id


def _unstarted(fault: GateError) -> Report:
    """Say what a refusal to start means for this target; another target of the deployment may be at it meanwhile."""
    if isinstance(fault, StoreUnavailable):
        raise fault
    may_pass = not fault.permanent or isinstance(fault, BadConfiguration)
    return Report(Progress.UNKNOWN if may_pass else Progress.FAILED, str(fault))


def _export(guard: Guard, deployment: Deployment, folder: Path) -> None:
    """Export the commit; a mirror that was lost since, or that was never on this host, is fetched first."""
    key = deployment.repository.key
    guard.repositories.fetch(key, deployment.ref, deployment.sha)
    guard.repositories.export(key, deployment.sha, folder)
