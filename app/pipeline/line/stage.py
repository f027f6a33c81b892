"""The frame of a stage: read, look outside, then move, record and audit in one transaction (invariant 3).

A stage that has already run, or whose turn it is not, does nothing. So messages may be lost, doubled or late. A deployment
that cannot go on shows the reason. Faults of a stage: `on_fault.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.domain.approval import ApprovalRequest, RequestState
from app.domain.deployment import ENDED, NEXT_STAGE, Deployment, Stage, StageResult, State, Step, Wake
from app.domain.errors import GateError
from app.domain.text import plain_line
from app.pipeline.intake.admit import admit
from app.pipeline.line.on_fault import attempt
from app.pipeline.ports.record import deployment_action
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit
from app.pipeline.tell.tell import deployment_notice, tell


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a stage's turn. `goes_on`: the next stage may run now. `wakes`: other deployments that may run now."""

    outcome: str
    goes_on: bool
    wakes: tuple[Wake, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """The state that a stage moves a deployment to, which is the audit verb too, with the evidence.

    `asks`: the approval request that holds the deployment, until `due_at`. It takes the place of the request with the id
    `instead_of`; if another one stands by now, nothing is written. `closes`: the new state of an open request.
    `expects`: the id of a request and the number of its votes; if there are more by now, nothing is written.
    `remarks`: (verb, reason) of each further notice to sinks.
    """

    state: State
    detail: dict[str, Any] = field(default_factory=dict)
    reason: str | None = None
    principal: str | None = None
    asks: ApprovalRequest | None = None
    instead_of: str | None = None
    due_at: datetime | None = None
    closes: RequestState = RequestState.VOID
    expects: tuple[str, int] | None = None
    remarks: tuple[tuple[str, str], ...] = ()


NOT_MY_TURN = Outcome("nothing to do", goes_on=False)
OVERTAKEN = Outcome("another worker was faster", goes_on=False)


def run_stage(services: Services, deployment_id: str, stage: Stage, find: Callable[[Deployment], Move | Outcome]) -> Outcome:
    """Run one stage to its result, once. `find` may call outside. If it returns an outcome, nothing is written here."""
    started_at = services.clock.now()
    with services.store.reading() as unit:
        deployment = unit.deployments.get(deployment_id)
    if deployment is None or deployment.has_ended:
        return NOT_MY_TURN
    if NEXT_STAGE[deployment.state] is not stage:
        return Outcome("already done", goes_on=is_past(deployment, stage))
    return attempt(
        services,
        deployment,
        stage,
        lambda: _move(services, deployment, stage, find(deployment), started_at),
        lambda why, fault: _move(services, deployment, stage, _failure(why, fault), started_at),
    )


def _move(services: Services, deployment: Deployment, stage: Stage, move: Move | Outcome, started_at: datetime) -> Outcome:
    if isinstance(move, Outcome):
        return move
    if move.state not in ENDED and State.HELD not in (deployment.state, move.state):
        with services.store.single() as unit:
            return conclude(services, unit, deployment, stage, move, started_at)
    with services.store.unit() as unit:
        unit.slots.lock(deployment.environment)  # always before a deployment's row: one order, no deadlock
        return conclude(services, unit, deployment, stage, move, started_at)


def _failure(why: str, fault: Exception) -> Move:
    code = fault.code if isinstance(fault, GateError) else "internal"
    return Move(State.FAILED, {"code": code}, reason=why)


def is_past(deployment: Deployment, stage: Stage) -> bool:
    """Tell whether the deployment has passed `stage`; if so, the chain may go on to its present stage."""
    order = list(Stage)
    return order.index(NEXT_STAGE[deployment.state]) > order.index(stage)


def conclude(services: Services, unit: Unit, deployment: Deployment, stage: Stage, move: Move, started_at: datetime) -> Outcome:
    """Write a stage's result, state and audit entry, unless the deployment has moved meanwhile; free its slot if it ends.

    If `move` ends the deployment, holds it or resumes it, the caller has locked the slot before.
    """
    now = services.clock.now()
    ended, is_held = move.state in ENDED, move.state is State.HELD
    why = plain_line(move.reason) if move.reason else None
    due_at = move.due_at or now + timedelta(seconds=services.limits.sweep_after)
    step = Step(
        move.state,
        None if ended else due_at,
        services.recorder.entry(deployment_action(move.state), move.detail | _reason_detail(why), about=deployment),
        None if is_held else StageResult(stage, move.state.value, move.detail, started_at, now),
        why,
        move.principal,
    )
    if move.expects is not None and not _is_as_expected(unit, deployment, move.expects):
        return OVERTAKEN
    if move.asks is not None and _standing_request_id(unit, deployment) != move.instead_of:
        return OVERTAKEN  # a newer request stands, and may have votes already
    if not unit.deployments.advance(deployment, step):
        return OVERTAKEN
    if deployment.state is State.HELD:
        unit.approvals.close(deployment.id, RequestState.GRANTED if move.state is State.PERMITTED else move.closes, now)
    news = ((move.state.value, why or ""),) if ended or is_held else ()
    for verb, reason in (*news, *move.remarks):
        notice = deployment_notice(services, deployment, verb, reason)
        tell(services, unit, notice, environment=deployment.environment)
    if move.asks is not None:
        unit.approvals.ask(move.asks)
        return Outcome("held", goes_on=False, wakes=_void_older(services, unit, deployment, started_at))
    return Outcome(move.state.value, goes_on=not ended, wakes=_followers(services, unit, deployment) if ended else ())


def _reason_detail(why: str | None) -> dict[str, Any]:
    return {"reason": why} if why else {}


def _standing_request_id(unit: Unit, deployment: Deployment) -> str | None:
    """Return the id of the standing request. The environment's slot is locked, so no other can be made at the same time."""
    standing = unit.approvals.standing(deployment.id)
    return standing.id if standing is not None else None


def _is_as_expected(unit: Unit, deployment: Deployment, expects: tuple[str, int]) -> bool:
    """Tell whether there is no new vote; a vote takes its locks in the same order."""
    unit.deployments.lock(deployment.id)
    locked = unit.approvals.lock(expects[0])
    return locked is not None and locked[1] == expects[1]


def _void_older(services: Services, unit: Unit, deployment: Deployment, started_at: datetime) -> tuple[Wake, ...]:
    """Supersede all held deployments of the environment but the newest, and let others have the places that this frees."""
    *older, newest = unit.deployments.held(deployment.environment)
    move = Move(State.SUPERSEDED, {"by": newest.id}, reason=f"superseded by {newest.id}")
    wakes: list[Wake] = []
    for held in older:
        wakes += conclude(services, unit, held, Stage.CHECK_PERMISSION, move, started_at).wakes
    return (*wakes, *admit(services, unit, [deployment.environment]))


def _followers(services: Services, unit: Unit, ended: Deployment) -> tuple[Wake, ...]:
    """Free the slot and the place of a deployment that ended; list the wakes of those that may go on now.

    Only the newest of those that wait for the slot is woken, and it supersedes all others. With a message to each one
    a backlog would feed itself.
    """
    newest = unit.slots.release(ended.environment, ended.id)
    return (*((newest,) if newest else ()), *admit(services, unit, [ended.environment]))
