"""Take one person's vote on a deployment that waits. Votes are counted when the deployment is decided (`decide/tally.py`)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.domain.approval import ApprovalRequest, RequestState, Verdict, Vote
from app.domain.audit import AuditAction, AuditEntry
from app.domain.decision import Action, Decision, Effect
from app.domain.deployment import Deployment, Stage, State, Wake
from app.domain.errors import Forbidden, NotAllowed, NotFound, RateLimited
from app.domain.session import check_fresh
from app.domain.text import plain_line
from app.pipeline.approve.acting_person import Person
from app.pipeline.decide.case import Case
from app.pipeline.decide.culprits import as_text, culprits_of
from app.pipeline.decide.judgement import decide, environment_of, fresh_evidence, gather, keep_policy, record_of
from app.pipeline.decide.tally import involved_in, is_current, why_no_voter, why_unproven
from app.pipeline.decide.what_if import explain
from app.pipeline.line.stage import Move, conclude
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit


def vote(services: Services, deployment_id: str, person: Person, verdict: Verdict, comment: str = "") -> Vote:
    """Keep the vote, and let the deployment go on or end it. A vote is cast once and cannot be changed.

    Raises RateLimited, NotFound, NotAllowed and Forbidden, which says what is missing. NotAllowed means that the deployment does
    not wait, that it waits for something else by now, or that this person has voted.
    """
    started_at = services.clock.now()
    if wait := services.vote_limit.take(person.principal.subject, started_at.timestamp()):
        raise RateLimited(f"{person.principal.subject} has voted too often just now", retry_after=wait)
    with services.store.reading() as unit:
        deployment = unit.deployments.get(deployment_id)
    if deployment is None:
        raise NotFound(f"there is no deployment {deployment_id}")
    _check_waits(deployment)
    case, decision = _case_and_right(services, deployment, person)
    with services.store.unit() as unit:
        unit.slots.lock(deployment.environment)
        current = unit.deployments.lock(deployment.id)
        _check_waits(current or deployment)
        request = _open_request(services, unit, deployment, case)
        new_vote = _make_vote(services, request, person, verdict, comment, decision=decision)
        if not unit.approvals.vote(new_vote):
            raise NotAllowed(f"{person.principal.subject} has already voted on this; a vote cannot be changed")
        unit.audit.append([_entry(services, deployment, new_vote, decision)])
        if verdict is Verdict.APPROVE:
            soon = services.clock.now() + timedelta(seconds=services.limits.sweep_after)
            unit.deployments.defer(deployment.id, soon, f"approved by {new_vote.subject}")
            wakes: tuple[Wake, ...] = (_resume(deployment),)
        else:
            why = f"rejected by {new_vote.subject}" + (f": {new_vote.comment}" if new_vote.comment else "")
            move = Move(State.DENIED, {"vote": new_vote.id}, reason=why, closes=RequestState.REJECTED)
            wakes = conclude(services, unit, deployment, Stage.CHECK_PERMISSION, move, started_at).wakes
    for wake in wakes:
        services.wakes.run(wake)
    return new_vote


def right_to_vote(case: Case, deployment: Deployment, person: Person) -> Decision:
    """Decide whether this person may vote here now; raises Forbidden."""
    who = person.principal
    check_fresh(person.session, case.now, case.environment.approvals.session)
    if (unproven := why_unproven(case)) is not None:
        raise Forbidden(unproven)
    is_involved = who.subject in involved_in(case, deployment)
    decision = decide(replace(case, session=person.session, is_involved=is_involved), who, Action.APPROVE)
    if decision.effect is Effect.DENY:
        culprits = as_text(culprits_of(case.guard.policy, decision, case.evidence))
        decision = replace(decision, reason=explain(case.guard.policy, decision, culprits=culprits))
    objection = why_no_voter(who, decision, is_involved=is_involved)
    if objection is not None:
        raise Forbidden(objection)
    return decision


def _check_waits(deployment: Deployment) -> None:
    if deployment.state is not State.HELD:
        why = f": {deployment.reason}" if deployment.reason else ""
        raise NotAllowed(f"deployment {deployment.id} does not wait for approvals; it is {deployment.state}{why}")


def _case_and_right(services: Services, deployment: Deployment, person: Person) -> tuple[Case, Decision]:
    """Decide whether this person may vote here now; raises Forbidden and NotAllowed."""
    guard = services.guard()
    longest = environment_of(guard, deployment).approvals.session
    check_fresh(person.session, services.clock.now(), longest)  # before git is asked for anything
    case = gather(services, guard, deployment, fresh_evidence(services, guard, deployment))  # a pusher may just have become known
    keep_policy(services, guard)
    return case, right_to_vote(case, deployment, person)


def _open_request(services: Services, unit: Unit, deployment: Deployment, case: Case) -> ApprovalRequest:
    """Lock the request that is voted on; raises NotAllowed if it is over, or asks for something else by now."""
    standing = unit.approvals.standing(deployment.id)
    locked = unit.approvals.lock(standing.id) if standing is not None else None
    if locked is None or not is_current(locked[0], case):
        services.wakes.run(_resume(deployment))  # at once, not at the next sweep
        raise NotAllowed("the request has changed (policies or targets): wait for the new one, and look at it first")
    if services.clock.now() >= locked[0].expires_at:
        raise NotAllowed(f"the request has expired at {locked[0].expires_at:%Y-%m-%d %H:%M:%S} UTC")
    return locked[0]


def _make_vote(
    services: Services, request: ApprovalRequest, person: Person, verdict: Verdict, comment: str, *, decision: Decision
) -> Vote:
    return Vote(
        id=services.ids.new(),
        request_id=request.id,
        subject=person.principal.subject,
        verdict=verdict,
        comment=plain_line(comment),
        context=decision.request["request"]["context"],
        at=services.clock.now(),
    )


def _entry(services: Services, deployment: Deployment, new_vote: Vote, decision: Decision) -> AuditEntry:
    action = {Verdict.APPROVE: AuditAction.APPROVAL_APPROVED, Verdict.REJECT: AuditAction.APPROVAL_REJECTED}[new_vote.verdict]
    detail = {"vote": new_vote.id, "request_id": new_vote.request_id, "comment": new_vote.comment, **record_of(decision)}
    return services.recorder.entry(action, detail, about=deployment, actor=new_vote.subject)


def _resume(deployment: Deployment) -> Wake:
    return Wake.of(deployment, Stage.CHECK_PERMISSION)
