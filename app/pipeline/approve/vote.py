"""Take one person's word on a deployment that waits. What it is worth is counted when it is decided (`decide/tally.py`)."""

from __future__ import annotations

from datetime import timedelta

from app.domain.approval import ApprovalRequest, RequestState, Verdict, Vote
from app.domain.audit import AuditAction, AuditEntry
from app.domain.deployment import Deployment, Stage, State, Wake
from app.domain.errors import NotAllowed, NotFound
from app.domain.session import check_fresh
from app.domain.text import plain_line
from app.pipeline.approve.acting_person import Person
from app.pipeline.approve.voter import Right, environment_of, right_to_vote
from app.pipeline.decide.judgement import current_evidence, keep_policy, record_of
from app.pipeline.decide.tally import count_votes
from app.pipeline.line.hold import is_current
from app.pipeline.line.stage import Move, conclude
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.line import Unit


def vote(services: Services, deployment_id: str, person: Person, verdict: Verdict, comment: str = "") -> Vote:
    """Keep the vote and let the deployment go on, or end it. A vote is given once and cannot be changed.

    Raises NotFound, NotAllowed (it does not wait, or for something else by now, or this person has voted) and Forbidden, which
    says what is missing.
    """
    started_at = services.clock.now()
    with services.store.reading() as unit:
        deployment = unit.deployments.get(deployment_id)
    if deployment is None:
        raise NotFound(f"there is no deployment {deployment_id}")
    _check_waits(deployment)
    right = _right(services, deployment, person)
    with services.store.unit() as unit:
        unit.slots.lock(deployment.environment)
        current = unit.deployments.lock(deployment.id)
        _check_waits(current or deployment)
        request = _open_request(services, unit, deployment, right)
        given = _vote(services, request, person, verdict, comment, right=right)
        if not unit.approvals.vote(given):
            raise NotAllowed(f"{person.principal.subject} has voted on this already; one vote a person, and it stays")
        unit.audit.append([_entry(services, deployment, given, right)])
        if verdict is Verdict.APPROVE:
            soon = services.clock.now() + timedelta(seconds=services.limits.sweep_after)
            unit.deployments.defer(deployment.id, soon, f"approved by {given.subject}")
            wakes: tuple[Wake, ...] = (_resume(deployment),)
        else:
            why = f"rejected by {given.subject}" + (f": {given.comment}" if given.comment else "")
            ended = Move(State.DENIED, "denied", {"vote": given.id}, reason=why, closes=RequestState.REJECTED)
            wakes = conclude(services, unit, deployment, Stage.CHECK_PERMISSION, ended, started_at).wakes
    for wake in wakes:
        services.wakes.run(wake)
    return given


def _check_waits(deployment: Deployment) -> None:
    if deployment.state is not State.HELD:
        why = f": {deployment.reason}" if deployment.reason else ""
        raise NotAllowed(f"deployment {deployment.id} does not wait for approvals, it is {deployment.state}{why}")


def _right(services: Services, deployment: Deployment, person: Person) -> Right:
    """Decide whether this person may vote here now; raises Forbidden and NotAllowed."""
    guard = services.guard()
    environment = environment_of(guard, deployment)
    check_fresh(person.session, services.clock.now(), environment.approvals.session)  # before git is asked for anything
    found = current_evidence(services, guard, deployment)
    votes = count_votes(services, guard, deployment, environment, found)
    keep_policy(services, guard)
    return right_to_vote(services, guard, deployment, person=person, evidence=found, votes=votes)


def _open_request(services: Services, unit: Unit, deployment: Deployment, right: Right) -> ApprovalRequest:
    """Lock the request that is voted on; raises NotAllowed where it is over, or asks for something else by now."""
    standing = unit.approvals.standing(deployment.id)
    locked = unit.approvals.lock(standing.id) if standing is not None else None
    if locked is None or not is_current(locked[0], deployment, right.environment, right.guard):
        services.wakes.run(_resume(deployment))  # now, and not when it would be looked at anyway
        raise NotAllowed("what is asked for has changed (policies, targets): wait for the new request, and look at it")
    if services.clock.now() >= locked[0].expires_at:
        raise NotAllowed(f"the request has expired at {locked[0].expires_at:%Y-%m-%d %H:%M:%S} UTC")
    return locked[0]


def _vote(services: Services, request: ApprovalRequest, person: Person, verdict: Verdict, comment: str, *, right: Right) -> Vote:
    return Vote(
        id=services.ids.new(),
        request_id=request.id,
        subject=person.principal.subject,
        verdict=verdict,
        comment=plain_line(comment),
        context=right.decision.request["request"]["context"],
        at=services.clock.now(),
    )


def _entry(services: Services, deployment: Deployment, given: Vote, right: Right) -> AuditEntry:
    action = {Verdict.APPROVE: AuditAction.APPROVAL_APPROVED, Verdict.REJECT: AuditAction.APPROVAL_REJECTED}[given.verdict]
    detail = {"vote": given.id, "request_id": given.request_id, "comment": given.comment, **record_of(right.decision)}
    return services.recorder.entry(action, detail, about=deployment, actor=given.subject)


def _resume(deployment: Deployment) -> Wake:
    return Wake(deployment.id, deployment.correlation_id, deployment.environment, Stage.CHECK_PERMISSION)
