"""Put an accepted change of policies into force, on the gate's machine.

Anyone who may write there may apply it, but only the text that was accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.domain.audit import AuditAction
from app.domain.errors import NotAllowed
from app.domain.event import Account
from app.domain.proposal import Proposal, ProposalState
from app.pipeline.approve.decide_proposal import lock_proposal
from app.pipeline.approve.propose import check_policy, proposal_entry
from app.pipeline.ports.services import Services


def apply(services: Services, proposal_id: str, by: Account, write: Callable[[str, str], None]) -> Proposal:
    """Write the file by `write(name, text)`, if a person accepted exactly this for the policies of this moment.

    One proposal is applied at a time, and the file is written last. A crash before the commit leaves the file written and the
    proposal accepted; applying it again only notes that. Raises NotFound, BadRequest (it has faults by now) and NotAllowed.
    """
    with services.store.unit() as unit:
        unit.proposals.apply_alone()
        proposal = lock_proposal(services, unit, proposal_id)
        file, text = _accepted_change(proposal)
        policy = services.guard().policy  # as the files are now
        is_written = policy.files.get(file) == text
        if not is_written and check_policy(policy, file, text) != proposal.policy_digest:
            raise NotAllowed("the policies have changed since this was accepted: compare it with them, and accept it again")
        applied = replace(proposal, state=ProposalState.APPLIED)
        unit.proposals.update(applied)
        entry = proposal_entry(services, applied, AuditAction.PROPOSAL_APPLIED, by.key, accepted_by=applied.decided_by)
        unit.audit.append([entry])
        if not is_written:
            write(file, text)
    return applied


def _accepted_change(proposal: Proposal) -> tuple[str, str]:
    if proposal.file is None or proposal.text is None:
        raise NotAllowed("a rollback does not need to be applied: accepting it plans it")
    if proposal.state is not ProposalState.ACCEPTED:
        raise NotAllowed(f"proposal {proposal.id} is not accepted yet")
    return proposal.file, proposal.text
