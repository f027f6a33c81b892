"""Let a deployment wait for other people's approvals: ask once, wait, and end it if they do not come in time.

A vote (`approve/vote.py`) resumes it, and so does every other change of the answer. Each time the whole decision is made anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from app.domain.approval import NO_COUNT, ApprovalRequest, RequestState
from app.domain.deployment import Deployment, State, Trigger
from app.domain.text import plain_line, utc
from app.pipeline.decide.case import Case
from app.pipeline.decide.judgement import Judgement
from app.pipeline.decide.tally import is_current
from app.pipeline.line.stage import Move, Outcome
from app.pipeline.ports.services import Services

LOOK_AGAIN = timedelta(minutes=5)  # at the latest: a freeze may be over, a session begun


def why_unsettled(deployment: Deployment, case: Case | None) -> str | None:
    """Say why it is not proven who acted, unless enough people have approved the deployment since that came to light."""
    if deployment.doubt is None:
        return None
    votes = case.votes if case is not None else NO_COUNT
    is_settled = votes.tally.met and votes.request is not None and _knows_doubt(votes.request, deployment)
    return None if is_settled else deployment.doubt.why


def hold(services: Services, deployment: Deployment, judgement: Judgement, case: Case) -> Move | Outcome:
    """Go on waiting, ask for approvals, or end the wait."""
    if deployment.trigger is Trigger.FAILURE:  # it holds the environment's slot, and perhaps no approver is there
        why = f"an automatic redeployment does not wait for approvals: {judgement.reason}"
        return Move(State.DENIED, judgement.detail, reason=why)
    request = case.votes.request
    why = f"{judgement.reason}; it takes {', '.join(case.votes.tally.missing) or 'more than there are'}"
    if request is None or not is_current(request, case) or not _knows_doubt(request, deployment):
        return _ask(services, deployment, judgement, case, why)
    if case.now >= request.expires_at:
        late = f"it was not approved in time ({case.environment.approvals.within}): {why}"
        expects = (request.id, case.votes.seen)
        return Move(State.DENIED, judgement.detail, reason=late, closes=RequestState.EXPIRED, expects=expects)
    with services.store.unit() as unit:
        unit.deployments.defer(deployment.id, _next_look(request, case.now), _until(why, request))
    return Outcome("held", goes_on=False)


def _knows_doubt(request: ApprovalRequest, deployment: Deployment) -> bool:
    """Tell whether the request was made after the doubt: people who voted before did not know of it."""
    return deployment.doubt is None or request.requested_at >= deployment.doubt.since


def _ask(services: Services, deployment: Deployment, judgement: Judgement, case: Case, why: str) -> Move:
    """Ask for approvals, in place of an earlier request that is out of date."""
    former, request = case.votes.request, _request(services, deployment, case)
    return Move(
        State.HELD,
        judgement.detail | {"request_id": request.id},
        reason=_until(why, request),
        asks=request,
        instead_of=former.id if former is not None else None,
        due_at=_next_look(request, case.now),
    )


def _request(services: Services, deployment: Deployment, case: Case) -> ApprovalRequest:
    environment = case.environment
    return ApprovalRequest(
        id=services.ids.new(),
        deployment_id=deployment.id,
        environment=environment.name,
        sha=deployment.sha,
        targets=tuple(sorted(environment.targets)),
        policy_digest=case.guard.policy.digest,
        requested_at=case.now,
        expires_at=case.now + environment.approvals.within,
    )


def _until(why: str, request: ApprovalRequest) -> str:
    return f"{plain_line(why)}; until {utc(request.expires_at)}"


def _next_look(request: ApprovalRequest, now: datetime) -> datetime:
    return min(request.expires_at, now + LOOK_AGAIN)
