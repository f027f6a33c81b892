"""Stage 4: take the environment's slot and commit the intent to start (`start.py` starts). Next: `settle.py`.

Order of durable writes, and what a crash right after each one means:
1. One transaction writes the slot, the dispatch rows (the first under a lease) and the state `dispatching`. After a crash the
   lease runs out. The next worker asks the target, and starts again under the same key if the target cannot tell.
2. The target is started, and nothing is written. As 1; the key keeps the target from starting twice.
3. The target's answer is written; with the last answer also the state `dispatched`. The next run skips what is written.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.audit import AuditAction
from app.domain.deployment import NEXT_STAGE, Deployment, Dispatch, DispatchRow, Progress, Stage, State, Step, Wake
from app.pipeline.decide.judgement import decide_now
from app.pipeline.line.fail import fail
from app.pipeline.line.hold import why_unsettled
from app.pipeline.line.on_fault import attempt
from app.pipeline.line.stage import NOT_MY_TURN, OVERTAKEN, Move, Outcome, conclude, is_past
from app.pipeline.line.start import start_all
from app.pipeline.ports.services import Guard, Services
from app.pipeline.ports.stores.unit import Unit

BUSY_SECONDS = 30
MOST_LOOKS = 20  # at rights that change during each look
_OUTRUN = Move(State.SUPERSEDED, reason="a newer deployment of this environment took its place")


@dataclass(frozen=True, slots=True)
class _Check:
    """A last look at rights and ref: its rules, its version of the access map, and `against`, the move that ends it, if any."""

    guard: Guard
    access_version: int
    against: Move | None
    detail: dict[str, object]


def dispatch(services: Services, deployment_id: str) -> Outcome:
    """Run `dispatch_deploy`: one dispatch at a time per environment, in the order of receipt (invariants 4, 6, 8)."""
    started_at = services.clock.now()
    with services.store.reading() as unit:
        deployment = unit.deployments.get(deployment_id)
    if deployment is None or deployment.has_ended:
        return NOT_MY_TURN
    return attempt(
        services,
        deployment,
        Stage.DISPATCH_DEPLOY,
        lambda: _dispatch(services, services.guard(), deployment, started_at),
        lambda why, _: fail(services, deployment_id, Stage.DISPATCH_DEPLOY, why, started_at),
    )


def _dispatch(services: Services, guard: Guard, deployment: Deployment, started_at: datetime) -> Outcome:
    if deployment.state is State.GRANTED:
        rows = _claim_environment(services, deployment, started_at)
        if isinstance(rows, Outcome):
            return rows
        leased = rows[0].dispatch if rows else None
        return start_all(services, guard, replace(deployment, state=State.DISPATCHING), rows, started_at, leased)
    if deployment.state is not State.DISPATCHING:
        return Outcome("already done", goes_on=is_past(deployment, Stage.DISPATCH_DEPLOY))
    with services.store.reading() as unit:
        rows = unit.dispatches.of(deployment.id)
    return start_all(services, guard, deployment, rows, started_at)


def _claim_environment(services: Services, deployment: Deployment, started_at: datetime) -> list[DispatchRow] | Outcome:
    """Take the environment's slot and write down the intent; return an outcome if that cannot be done now."""
    version = _check_order(services, deployment, started_at)
    for _ in range(MOST_LOOKS):
        if isinstance(version, Outcome):
            return version
        check = _last_check(services, deployment, version)
        claimed = _claim(services, deployment, check, started_at) if services.guard().digest == check.guard.digest else None
        if claimed is not None:
            return claimed
        # The rules or a person's rights changed after the look. They count as they are now, so look again.
        version = _check_order(services, deployment, started_at)
    with services.store.unit() as unit:
        return _wait_for(services, unit, deployment, "the access map, which keeps changing")


def _claim(services: Services, deployment: Deployment, check: _Check, started_at: datetime) -> list[DispatchRow] | Outcome | None:
    """Take the slot on the strength of `check`; return None if the access map has another version by now."""
    against, wakes = check.against, list[Wake]()
    with services.store.unit() as unit:
        unit.slots.lock(deployment.environment)  # no other worker moves granted deployments meanwhile
        turn = unit.deployments.turn(deployment)
        if turn.state is not State.GRANTED:
            return OVERTAKEN
        if turn.access_version != check.access_version:
            return None
        if against is None and turn.holder != deployment.id and turn.is_outrun:
            against = _OUTRUN
        if against is not None:
            return conclude(services, unit, deployment, Stage.DISPATCH_DEPLOY, against, started_at)
        if turn.holder != deployment.id and turn.has_older:
            wakes = _supersede_older(services, unit, deployment, started_at)
        if turn.holder not in (None, deployment.id):
            return replace(_wait_for(services, unit, deployment, turn.holder), wakes=tuple(wakes))
        rows = _intend(services, unit, deployment, check)
    for wake in wakes:  # now, since the start may take long
        services.wakes.run(wake)
    return rows


def _check_order(services: Services, deployment: Deployment, started_at: datetime) -> Outcome | int:
    """Look at the order first. In a backlog most deployments are superseded or must wait; that takes neither git nor policy.

    Returns the version of the access map to decide by, unless the deployment is refused.
    """
    with services.store.reading() as unit:
        turn = unit.deployments.turn(deployment)
    if turn.holder == deployment.id or (turn.holder is None and not turn.is_outrun):
        return turn.access_version
    with services.store.unit() as unit:
        unit.slots.lock(deployment.environment)
        turn = unit.deployments.turn(deployment)
        if turn.state is not State.GRANTED:
            return OVERTAKEN
        if turn.holder != deployment.id and turn.is_outrun:
            return conclude(services, unit, deployment, Stage.DISPATCH_DEPLOY, _OUTRUN, started_at)
        if turn.holder not in (None, deployment.id) and not turn.has_older:
            return _wait_for(services, unit, deployment, turn.holder)
    return turn.access_version


def _wait_for(services: Services, unit: Unit, deployment: Deployment, holder: str | None) -> Outcome:
    why = f"waiting for {holder}"
    unit.deployments.defer(deployment.id, services.clock.now() + timedelta(seconds=BUSY_SECONDS), why)
    return Outcome(why, goes_on=False)


def _last_check(services: Services, deployment: Deployment, access_version: int) -> _Check:
    """Look at the rights and the ref again, as they are now: they may have changed since the deployment was planned."""
    guard = services.guard()
    judgement = decide_now(services, guard, deployment)
    if not judgement.is_allowed:
        denied = Move(State.DENIED, judgement.detail, reason=judgement.reason)
        return _Check(guard, access_version, denied, {})
    doubt = why_unsettled(deployment, judgement.case)
    if doubt is not None:
        return _Check(guard, access_version, Move(State.DENIED, judgement.detail, reason=doubt), {})
    stale = None if deployment.is_rollback else _why_stale(services, guard, deployment)
    if stale is not None:
        return _Check(guard, access_version, Move(State.SUPERSEDED, reason=stale), {})
    return _Check(guard, access_version, None, judgement.detail)


def _why_stale(services: Services, guard: Guard, deployment: Deployment) -> str | None:
    """Say why the ref has left this commit behind, or None (invariant 5)."""
    key, ref, sha = deployment.repository.key, deployment.ref, deployment.sha
    repositories = guard.repositories
    head = repositories.head(key, ref)
    if head == sha:
        return None
    if head is None or not repositories.is_ancestor(key, sha, head):
        return f"{ref} no longer contains {sha}"
    with services.store.reading() as unit:
        release = unit.deployments.last_release(deployment.environment)
    if release is None or release.ref != ref or release.sha == sha:
        return None
    # The delivery is late: the branch has gone on, and the release already contains this commit.
    if repositories.is_ancestor(key, sha, release.sha) and repositories.is_ancestor(key, release.sha, head):
        return f"release {release.id} already contains {sha}"
    return None


def _supersede_older(services: Services, unit: Unit, deployment: Deployment, started_at: datetime) -> list[Wake]:
    """End older deployments that wait; list those that get under way in their places, but none that wait for the slot."""
    wakes: list[Wake] = []
    for older in unit.deployments.older_waiting(deployment.environment, deployment.position):
        move = Move(State.SUPERSEDED, {"by": deployment.id}, reason=f"superseded by {deployment.id}")
        wakes += conclude(services, unit, older, NEXT_STAGE[older.state], move, started_at).wakes
    return [w for w in wakes if w.stage is Stage.VALIDATE_IDENTITY]


def _intend(services: Services, unit: Unit, deployment: Deployment, check: _Check) -> list[DispatchRow]:
    """Write down the dispatches to start. The first one is under our lease already, since we start it next."""
    environment = check.guard.environment(deployment.environment)
    ids, now = services.ids, services.clock.now()
    dispatches = [
        _dispatch_to(ids.new(), deployment, name, attempts=int(n == 0))
        for n, name in enumerate(environment.targets if environment else ())
    ]
    intents = {d.target: d.id for d in dispatches}
    entry = services.recorder.entry(AuditAction.DEPLOYMENT_DISPATCHING, {"dispatches": intents, **check.detail}, about=deployment)
    due_at = now + timedelta(seconds=services.limits.sweep_after)
    if not unit.deployments.advance(deployment, Step(State.DISPATCHING, due_at, entry)):
        raise RuntimeError("a granted deployment has moved under its slot's lock")
    unit.dispatches.intend(dispatches, services.holder, services.limits.lease)
    unit.slots.hold(deployment.environment, deployment.id)
    return [DispatchRow(d, Progress.UNKNOWN, "", now) for d in dispatches]


def _dispatch_to(new_id: str, deployment: Deployment, target: str, *, attempts: int) -> Dispatch:
    return Dispatch(new_id, deployment.id, deployment.environment, target, deployment.position, fence=attempts, attempts=attempts)
