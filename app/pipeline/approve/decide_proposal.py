"""Accept or reject a proposal: a person does it, never the proposer. Next: `apply_proposal.py`, `line/rollback.py`.

An accepted rollback is the accepting person's own act: policy decides whether that person may, as if nobody had proposed it. So
the owner of an agent may accept the agent's rollback. A change of policies takes the right `change-policies`, and a person other
than the proposer's owner. The same rights are needed to reject.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from app.domain.audit import AuditAction, AuditEntry
from app.domain.decision import Action
from app.domain.deployment import Deployment
from app.domain.errors import Forbidden, NotAllowed, NotFound
from app.domain.proposal import Proposal, ProposalState
from app.domain.session import check_fresh, why_no_mfa
from app.domain.text import plain_line
from app.pipeline.approve.acting_person import Person
from app.pipeline.approve.propose import check_policy, proposal_entry
from app.pipeline.decide.right import Claim, check_claim
from app.pipeline.line.rollback import check_rollback, plan_rollback, release_to, wake_rollback
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit

DECIDER_SESSION = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An accepted proposal, and its deployment (None if the proposal is applied on the gate's machine)."""

    proposal: Proposal
    deployment: Deployment | None


def accept(services: Services, proposal_id: str, person: Person, comment: str = "") -> Acceptance:
    """Accept: plan the rollback, or mark the change of policies as one that may be applied to the policies of this moment.

    A change that was accepted may be accepted again if the policies have changed since. Raises NotFound, BadRequest (it has
    faults by now), NotAllowed (it is over, expired, overtaken, or changes nothing) and Forbidden.
    """
    digest = _checked_digest(services, proposal_id, person)
    with services.store.unit() as unit:
        proposal = lock_proposal(services, unit, proposal_id)
        decided = _with_verdict(services, proposal, person, comment, state=ProposalState.ACCEPTED)
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
    """Reject a proposal, even an accepted change that is not applied yet; raises NotFound, NotAllowed and Forbidden."""
    check_fresh(person.session, services.clock.now(), DECIDER_SESSION)
    proposal = _open_proposal(services, proposal_id)
    _check_not_own(proposal, person)
    _check_right(services, proposal, person)
    with services.store.unit() as unit:
        proposal = lock_proposal(services, unit, proposal_id)
        rejected = _with_verdict(services, proposal, person, comment, state=ProposalState.REJECTED)
        unit.proposals.update(rejected)
        unit.audit.append([_entry(services, rejected, AuditAction.PROPOSAL_REJECTED, person)])
    return rejected


def lock_proposal(services: Services, unit: Unit, proposal_id: str) -> Proposal:
    """Lock a proposal that is not over and not expired; raises NotFound and NotAllowed."""
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
        raise NotAllowed(f"proposal {proposal.id} has expired at {proposal.expires_at:%Y-%m-%d %H:%M:%S} UTC: propose it again")
    return proposal


def _checked_digest(services: Services, proposal_id: str, person: Person) -> str | None:
    """Check who decides, and the proposed text against today's policies; return their digest (None for a rollback)."""
    now = services.clock.now()
    check_fresh(person.session, now, DECIDER_SESSION)
    proposal = _open_proposal(services, proposal_id)
    _check_not_own(proposal, person)
    if proposal.file is None or proposal.text is None:
        _check_right(services, proposal, person)
        return None
    guard, who = services.guard(), person.principal.subject
    proposer = guard.identity.principal(proposal.proposer)
    if proposer is None or not proposer.active:  # its owner is no longer known
        raise NotAllowed(f"{proposal.proposer}, who proposes it, is no longer active: another person must propose it")
    if proposer.owner == who:
        raise Forbidden(f"{who} answers for {proposal.proposer}, who proposes to change policies: another person must accept it")
    objection = why_no_mfa(person.session, now)
    if objection is not None:
        raise Forbidden(f"accepting a change of policies needs a second factor: {objection}")
    _check_right(services, proposal, person)
    return check_policy(guard.policy, proposal.file, proposal.text)


def _open_proposal(services: Services, proposal_id: str) -> Proposal:
    with services.store.reading() as unit:
        return _under_way(services, unit.proposals.get(proposal_id), proposal_id)


def _check_right(services: Services, proposal: Proposal, person: Person) -> None:
    """Ask for the right to do what is proposed, since to accept or reject it takes the same. A refusal is audited.

    Raises Forbidden and RateLimited.
    """
    release = None
    if proposal.release_id is not None:
        with services.store.reading() as unit:
            release = unit.deployments.get(proposal.release_id)
    if release is not None:
        check_rollback(services, release, person.account, person.session)
        return
    claim = Claim(person.principal, Action.CHANGE_POLICIES, person.session)
    check_claim(services, services.guard(), claim, detail={"proposal": proposal.id})


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
    deployment = plan_rollback(services, unit, release, person.account, person.session)
    return Acceptance(replace(decided, deployment_id=deployment.id), deployment)


def _check_not_overtaken(unit: Unit, proposal: Proposal, environment: str) -> None:
    """Raise NotAllowed if there is a release that is newer than the proposal."""
    current = unit.deployments.last_release(environment)
    if current is not None and current.updated_at > proposal.made_at:
        raise NotAllowed(
            f"{environment} has released {current.sha[:12]} since this was proposed: look at that release, and propose again"
        )


def _with_verdict(services: Services, proposal: Proposal, person: Person, comment: str, *, state: ProposalState) -> Proposal:
    return replace(
        proposal,
        state=state,
        decided_by=person.principal.subject,
        decided_at=services.clock.now(),
        comment=plain_line(comment),
    )
