"""List the deployments that wait for approvals: who asks for them, what is missing, and whether the viewer may vote.

This is for people to look at. The evidence is what was gathered when the deployment was identified. Each vote gathers it
again, and decides by that (`vote.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.domain.approval import NO_COUNT, ApprovalRequest, Vote, VoteCount
from app.domain.deployment import Deployment, Stage, State
from app.domain.errors import Forbidden, NotAllowed, NotFound
from app.pipeline.approve.acting_person import Person
from app.pipeline.approve.vote import right_to_vote
from app.pipeline.decide.case import Case
from app.pipeline.decide.judgement import gather
from app.pipeline.decide.tally import is_current
from app.pipeline.ports.services import Guard, Services

AsWhom = Callable[[], Person]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A deployment that waits. `missing`: the approvals it still needs; `why_not`: why the viewer may not vote, or None."""

    deployment: Deployment
    request: ApprovalRequest
    votes: tuple[Vote, ...]
    count: VoteCount
    missing: tuple[str, ...]
    why_not: str | None


def waiting(
    services: Services, as_whom: AsWhom, environment: str | None = None, shows: Callable[[Deployment], bool] = lambda _: True
) -> list[Waiting]:
    """List the deployments that wait, oldest first. `as_whom` returns the viewer, or raises Forbidden if no person looks.

    Only deployments that `shows` takes are listed. Raises NotFound (no such environment).
    """
    guard = services.guard()
    if environment is not None and guard.environment(environment) is None:
        raise NotFound(f"there is no environment {environment}")
    with services.store.reading() as unit:
        requests = unit.approvals.open(environment)
    viewer = _viewer(as_whom)
    deployments = (_waiting(services, guard, request, viewer) for request in requests)
    return [found for found in deployments if found is not None and shows(found.deployment)]


def waiting_one(services: Services, as_whom: AsWhom, deployment_id: str) -> Waiting | None:
    """Return the same about one deployment; None if it does not wait."""
    with services.store.reading() as unit:
        request = unit.approvals.standing(deployment_id)
    return _waiting(services, services.guard(), request, _viewer(as_whom)) if request is not None else None


def _viewer(as_whom: AsWhom) -> Person | str:
    try:
        return as_whom()
    except Forbidden as fault:
        return str(fault)


def _waiting(services: Services, guard: Guard, request: ApprovalRequest, viewer: Person | str) -> Waiting | None:
    with services.store.reading() as unit:
        deployment = unit.deployments.get(request.deployment_id)
        identified = unit.deployments.result(request.deployment_id, Stage.VALIDATE_IDENTITY)
        votes = tuple(unit.approvals.votes(request.id))
    if deployment is None or deployment.state is not State.HELD or identified is None:
        return None  # it stopped waiting this very moment
    try:
        case = gather(services, guard, deployment, identified.detail)
    except NotAllowed as gone:
        return Waiting(deployment, request, votes, NO_COUNT, (), viewer if isinstance(viewer, str) else str(gone))
    missing = case.votes.tally.missing if is_current(request, case) else ()
    return Waiting(deployment, request, votes, case.votes, missing, _why_not(case, deployment, request, votes, viewer=viewer))


def _why_not(
    case: Case, deployment: Deployment, request: ApprovalRequest, votes: Sequence[Vote], *, viewer: Person | str
) -> str | None:
    """Say why this person may not vote, or None."""
    if isinstance(viewer, str):
        return viewer
    if not is_current(request, case):
        return "the request has changed (policies or targets): a new one comes soon"
    if case.now >= request.expires_at:
        return "the request has expired"
    if any(vote.subject == viewer.principal.subject for vote in votes):
        return f"{viewer.principal.subject} has already voted on this"
    try:
        right_to_vote(case, deployment, viewer)
    except Forbidden as fault:
        return str(fault)
    return None
