"""Accept or reject a proposal: a person does, in person, and never its proposer. Next: `apply_proposal.py`, `line/rollback.py`.

An accepted rollback is the accepting person's own act: policy decides whether that person may, as if nobody had proposed it. So
who answers for an agent may accept that. About a change of policies no policy decides, so there it takes somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from app.domain.audit import AuditAction, AuditEntry
from app.domain.deployment import Deployment
from app.domain.errors import Forbidden, NotAllowed, NotFound
from app.domain.proposal import Proposal, ProposalState
from app.domain.session import check_fresh, why_no_mfa
from app.domain.text import plain_line
from app.pipeline.approve.acting_person import Person
from app.pipeline.approve.propose import check_policy, proposal_entry
from app.pipeline.line.rollback import plan_rollback, release_to, wake_rollback
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit

DECIDER_SESSION = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An accepted proposal, and the deployment that came of it (None: it is applied on the gate's machine)."""

    proposal: Proposal
    deployment: Deployment | None


def accept(services: Services, proposal_id: str, person: Person, comment: str = "") -> Acceptance:
    """Accept: plan the rollback, or mark the change of policies as one that may be applied to the policies of this moment.

    A change that was accepted may be accepted anew, when the policies have changed since. Raises NotFound, BadRequest (it has
    faults by now), NotAllowed (it is over, expired, overtaken, or changes nothing) and Forbidden.
    """
    digest = _checked(services, proposal_id, person)
    with services.store.unit() as unit:
        proposal = lock_proposal(services, unit, proposal_id)
        decided = _decided(services, proposal, person, comment, state=ProposalState.ACCEPTED)
        if digest is not None:
            accepted = Acceptance(_accepted_policy(proposal, decided, digest), None)
        else:
            accepted = _accepted_rollback(services, unit, decided, person)
        unit.proposals.update(accepted.proposal)
        unit.audit.append([_entry(services, accepted.proposal, AuditAction.PROPOSAL_ACCEPTED, person)])
    if accepted.deployment is not None:
        wake_rollback(services, accepted.deployment)
    return accepted


def reject(services: Services, proposal_id: str, person: Person, comment: str = "") -> Proposal:
    """Reject, also a change of policies that was accepted and not applied; raises NotFound, NotAllowed and Forbidden."""
    check_fresh(person.session, services.clock.now(), DECIDER_SESSION)
    with services.store.unit() as unit:
        proposal = lock_proposal(services, unit, proposal_id)
        _check_not_own(proposal, person)
        rejected = _decided(services, proposal, person, comment, state=ProposalState.REJECTED)
        unit.proposals.update(rejected)
        unit.audit.append([_entry(services, rejected, AuditAction.PROPOSAL_REJECTED, person)])
    return rejected


def lock_proposal(services: Services, unit: Unit, proposal_id: str) -> Proposal:
    """Lock a proposal that may still come to something; raises NotFound and NotAllowed."""
    return _under_way(services, unit.proposals.lock(proposal_id), proposal_id)


def apply_command(proposal: Proposal) -> str:
    """Spell the command that applies an accepted change of policies."""
    return f"tidegate proposal apply {proposal.id}"


def _entry(services: Services, decided: Proposal, action: AuditAction, person: Person) -> AuditEntry:
    return proposal_entry(services, decided, action, person.principal.subject, comment=decided.comment)


def _under_way(services: Services, proposal: Proposal | None, proposal_id: str) -> Proposal:
    if proposal is None:
        raise NotFound(f"there is no proposal {proposal_id}")
    if proposal.has_ended:
        raise NotAllowed(f"proposal {proposal.id} was {proposal.state} by {proposal.decided_by}")
    if proposal.has_expired(services.clock.now()):
        raise NotAllowed(f"proposal {proposal.id} has expired at {proposal.expires_at:%Y-%m-%d %H:%M:%S} UTC: propose it anew")
    return proposal


def _checked(services: Services, proposal_id: str, person: Person) -> str | None:
    """Check what never changes of a proposal, and its text by the policies of now; return their digest, None of a rollback."""
    now = services.clock.now()
    check_fresh(person.session, now, DECIDER_SESSION)
    with services.store.reading() as unit:
        proposal = _under_way(services, unit.proposals.get(proposal_id), proposal_id)
    _check_not_own(proposal, person)
    if proposal.file is None or proposal.text is None:
        return None
    guard, who = services.guard(), person.principal.subject
    proposer = guard.identity.principal(proposal.proposer)
    if proposer is None or not proposer.active:  # nobody knows any more who answers for it
        raise NotAllowed(f"{proposal.proposer}, who proposes it, is no longer active: another person must propose it")
    if proposer.owner == who:
        raise Forbidden(f"{who} answers for {proposal.proposer}, who proposes to change policies: another person must accept it")
    bare = why_no_mfa(person.session, now)
    if bare is not None:
        raise Forbidden(f"accepting a change of policies needs a second factor: {bare}")
    return check_policy(guard.policy, proposal.file, proposal.text)


def _check_not_own(proposal: Proposal, person: Person) -> None:
    who = person.principal.subject
    if who == proposal.proposer:
        raise Forbidden(f"{who} made this proposal: another person must decide")


def _accepted_policy(proposal: Proposal, decided: Proposal, digest: str) -> Proposal:
    if proposal.state is ProposalState.ACCEPTED and proposal.policy_digest == digest:
        raise NotAllowed(
            f"it was already accepted by {proposal.decided_by}; run this on the gate's machine: {apply_command(proposal)}"
        )
    return replace(decided, policy_digest=digest)


def _accepted_rollback(services: Services, unit: Unit, decided: Proposal, person: Person) -> Acceptance:
    release = release_to(services, unit, decided.environment or "", decided.release_id)
    _check_not_overtaken(unit, decided, release.environment)
    deployment = plan_rollback(services, unit, release, person.account)
    return Acceptance(replace(decided, deployment_id=deployment.id), deployment)


def _check_not_overtaken(unit: Unit, proposal: Proposal, environment: str) -> None:
    """Raise NotAllowed where there is a newer release than whoever proposed to go back can have seen."""
    current = unit.deployments.last_release(environment)
    if current is not None and current.updated_at > proposal.made_at:
        raise NotAllowed(
            f"{environment} has released {current.sha[:12]} since this was proposed: look at that, and propose it anew"
        )


def _decided(services: Services, proposal: Proposal, person: Person, comment: str, *, state: ProposalState) -> Proposal:
    return replace(
        proposal,
        state=state,
        decided_by=person.principal.subject,
        decided_at=services.clock.now(),
        comment=plain_line(comment),
    )
