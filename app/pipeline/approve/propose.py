"""Propose to go back to a release, or to change a file of policies: every active principal may. Next: `decide_proposal.py`.

A proposal does nothing by itself. It is checked at once as far as possible, so that no person has to judge an impossible one.
"""

from __future__ import annotations

from difflib import unified_diff
from typing import Any

from app.domain.audit import AuditAction, AuditEntry
from app.domain.errors import BadConfiguration, BadRequest, NotAllowed, NotFound, RateLimited
from app.domain.notice import Notice
from app.domain.principal import Principal
from app.domain.proposal import HOLDS, Proposal, ProposalKind, faults_of_file
from app.domain.text import plain_line
from app.integrations.policy.protocol import Policy
from app.pipeline.line.rollback import release_to
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit
from app.pipeline.tell.tell import tell

MOST_WAITING = 20  # of one proposer
SHORTEST_REASON, LONGEST_REASON = 10, 1000
SHORTEST_ID = 6


def propose_rollback(services: Services, who: Principal, environment: str, release: str | None, *, reason: str) -> Proposal:
    """Propose to bring a release (id or commit prefix) back. Without one, the release that a rollback would bring now is pinned.

    Raises NotFound, BadRequest (no reason), RateLimited and NotAllowed (too many wait).
    """
    reason = _reason(services, who, reason)
    with services.store.unit() as unit:
        earlier = release_to(services, unit, environment, release)
        proposal = _proposal(services, who, reason, kind=ProposalKind.ROLLBACK, environment=environment, release_id=earlier.id)
        _keep(services, unit, proposal, f"to bring {environment} back to {earlier.sha[:12]}")
    return proposal


def propose_policy(services: Services, who: Principal, file: str, text: str, *, reason: str) -> Proposal:
    """Propose a file of policies, new or in place of the one of its name.

    Raises BadRequest (no reason, or faults as `FILE:LINE: what`), RateLimited and NotAllowed (too many wait, or it changes
    nothing).
    """
    reason = _reason(services, who, reason)
    digest = check_policy(services.guard().policy, file, text)
    proposal = _proposal(services, who, reason, kind=ProposalKind.POLICY, file=file, text=text, policy_digest=digest)
    with services.store.unit() as unit:
        _keep(services, unit, proposal, f"to change the policies in {file}")
    return proposal


def check_policy(policy: Policy, file: str, text: str) -> str:
    """Check a file with the others in force; return their digest. Raises BadRequest and NotAllowed (it changes nothing)."""
    faults = faults_of_file(file, text)
    if not faults:
        try:
            policy.changed(file, text)
        except BadConfiguration as fault:
            faults = fault.faults
    if faults:
        raise BadRequest("\n".join(faults))
    if policy.files.get(file) == text:
        raise NotAllowed(f"{file} is already in force exactly like this")
    return policy.digest


def diff_of(policy: Policy, proposal: Proposal) -> str | None:
    """Show how a proposed file would change the one in force, as a unified diff; None for a rollback."""
    if proposal.file is None or proposal.text is None:
        return None
    former = policy.files.get(proposal.file, "").splitlines()
    names = (f"in force/{proposal.file}", f"proposed/{proposal.file}")
    return "\n".join(unified_diff(former, proposal.text.splitlines(), *names, lineterm=""))


def proposal_entry(services: Services, proposal: Proposal, action: AuditAction, actor: str, **detail: Any) -> AuditEntry:
    """Describe that `action` happened to a proposal, with what it proposes."""
    fields = ("kind", "proposer", "environment", "release_id", "file", "text_digest", "policy_digest")
    proposed = {name: value for name in fields if (value := getattr(proposal, name)) is not None}
    return services.recorder.entry(action, {"proposal": proposal.id, **proposed, **detail}, about=proposal, actor=actor)


def proposal_named(services: Services, name: str) -> Proposal:
    """Return the proposal with this id, or with an unambiguous beginning or end of it; raises NotFound."""
    wanted = name.strip().lower()
    if len(wanted) < SHORTEST_ID:
        raise NotFound(f"{name!r} is too short for a proposal's id; give {SHORTEST_ID} characters or more")
    with services.store.reading() as unit:
        proposals = unit.proposals.named(wanted)
    if len(proposals) != 1:
        raise NotFound(f"{'more than one' if proposals else 'no'} proposal is named {name}")
    return proposals[0]


def _reason(services: Services, who: Principal, reason: str) -> str:
    if wait := services.proposal_limit.take(who.subject, services.clock.now().timestamp()):
        raise RateLimited("you have made too many proposals just now", retry_after=wait)
    plain = plain_line(reason.strip(), LONGEST_REASON)
    if len(plain) < SHORTEST_REASON:
        raise BadRequest(f"a proposal needs a reason of {SHORTEST_REASON} characters or more, for the person who decides")
    return plain


def _proposal(services: Services, who: Principal, reason: str, **what: Any) -> Proposal:
    now = services.clock.now()
    return Proposal(id=services.ids.new(), proposer=who.subject, reason=reason, made_at=now, expires_at=now + HOLDS, **what)


def _keep(services: Services, unit: Unit, proposal: Proposal, what: str) -> None:
    if unit.proposals.waiting_of(proposal.proposer, proposal.made_at) >= MOST_WAITING:
        raise NotAllowed(f"{MOST_WAITING} of your proposals already wait; let people decide on those first")
    unit.proposals.add(proposal)
    unit.audit.append([proposal_entry(services, proposal, AuditAction.PROPOSAL_MADE, proposal.proposer, reason=proposal.reason)])
    tell(services, unit, _notice(services, proposal, what), environment=proposal.environment)


def _notice(services: Services, proposal: Proposal, what: str) -> Notice:
    lines = (f"{proposal.proposer} proposes {what}.", f"Reason: {proposal.reason}", f"See: tidegate proposal show {proposal.id}")
    return Notice(
        id=services.ids.new(),
        at=proposal.made_at,
        event=AuditAction.PROPOSAL_MADE,
        subject=f"{proposal.proposer} proposes {what}",
        text="\n".join(lines),
        detail={
            "proposal": proposal.id,
            "kind": proposal.kind.value,
            "who": proposal.proposer,
            "environment": proposal.environment or "",
            "release": proposal.release_id or "",
            "file": proposal.file or "",
            "reason": proposal.reason,
        },
    )
