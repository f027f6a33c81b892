"""Have a deployment wait for other people's approvals: ask once for just this, wait, and end it when nobody came in time.

Resumed by `approve/vote.py`, or by whatever else changes the answer: each time it is woken the whole decision is made anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from app.domain.approval import ApprovalRequest, RequestState
from app.domain.deployment import Deployment, State, Trigger
from app.domain.environment import Environment
from app.pipeline.decide.tally import VoteCount
from app.pipeline.line.stage import Move, Outcome
from app.pipeline.ports.services import Guard, Services

LOOK_AGAIN = timedelta(minutes=5)  # at the latest: a freeze may be over, a session begun


def hold(
    services: Services,
    guard: Guard,
    deployment: Deployment,
    *,
    environment: Environment,
    counted: VoteCount,
    detail: dict[str, Any],
    reason: str,
) -> Move | Outcome:
    """Wait on, ask, or end the waiting."""
    if deployment.trigger is Trigger.FAILURE:  # it holds the environment's slot, and nobody may be there
        return Move(State.DENIED, "denied", detail, reason=f"the gate's own redeployment waits for nobody: {reason}")
    now, request = services.clock.now(), counted.request
    missing = ", ".join(counted.tally.missing) or "more than there are"
    why = f"{reason}; it takes {missing}"
    if request is None or not is_current(request, deployment, environment, guard):
        asks = _request(services, deployment, environment, guard=guard, now=now)
        return Move(
            State.HELD,
            "held",
            detail | {"request_id": asks.id},
            reason=why,
            asks=asks,
            instead_of=request.id if request is not None else None,
            due_at=_look(asks, now),
        )
    if now >= request.expires_at:
        late = f"nobody approved it in time ({environment.approvals.within}): {why}"
        expects = (request.id, counted.seen)
        return Move(State.DENIED, "denied", detail, reason=late, closes=RequestState.EXPIRED, expects=expects)
    with services.store.unit() as unit:
        unit.deployments.defer(deployment.id, _look(request, now), why)
    return Outcome("held", goes_on=False)


def is_current(request: ApprovalRequest, deployment: Deployment, environment: Environment, guard: Guard) -> bool:
    """Tell whether a request is open and asks for what would be done now."""
    is_for = request.is_for(deployment.sha, environment.targets, guard.policy.digest)
    return request.state is RequestState.OPEN and is_for


def _request(
    services: Services, deployment: Deployment, environment: Environment, *, guard: Guard, now: datetime
) -> ApprovalRequest:
    return ApprovalRequest(
        id=services.ids.new(),
        deployment_id=deployment.id,
        environment=environment.name,
        sha=deployment.sha,
        targets=tuple(sorted(environment.targets)),
        policy_digest=guard.policy.digest,
        requested_at=now,
        expires_at=now + environment.approvals.within,
    )


def _look(request: ApprovalRequest, now: datetime) -> datetime:
    return min(request.expires_at, now + LOOK_AGAIN)
