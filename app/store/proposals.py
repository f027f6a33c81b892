"""Proposals at rest. What was proposed is never changed, and no row is taken away."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, text, update

from app.domain.proposal import Proposal, ProposalKind, ProposalState
from app.store.schema.proposals import proposals as table

_IN_USE = text("state IN ('open', 'accepted')")  # as the index has it
_APPLYING = 7243551202  # the advisory lock of whoever writes policies


@dataclass(frozen=True, slots=True)
class SqlProposals:
    """Protocol: pipeline.proposal_stores.Proposals."""

    connection: Connection

    def add(self, proposal: Proposal) -> None:
        """Keep a proposal."""
        self.connection.execute(insert(table).values(asdict(proposal)))

    def get(self, proposal_id: str) -> Proposal | None:
        """Return it without a lock."""
        row = self.connection.execute(select(table).where(table.c.id == proposal_id)).one_or_none()
        return _proposal(row) if row is not None else None

    def lock(self, proposal_id: str) -> Proposal | None:
        """Lock it and return it as it is now."""
        row = self.connection.execute(select(table).where(table.c.id == proposal_id).with_for_update()).one_or_none()
        return _proposal(row) if row is not None else None

    def update(self, proposal: Proposal) -> None:
        """Write down what became of the (locked) one."""
        names = ("state", "decided_by", "decided_at", "comment", "deployment_id", "policy_digest")
        values = {name: getattr(proposal, name) for name in names}
        self.connection.execute(update(table).where(table.c.id == proposal.id).values(values))

    def waiting_of(self, proposer: str, now: datetime) -> int:
        """Count those of somebody that wait to be decided or applied; who counts for the same one waits till the unit ends."""
        self.connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"proposals of {proposer}", 0))))
        mine = (_IN_USE, table.c.deployment_id.is_(None), table.c.proposer == proposer, table.c.expires_at > now)
        return self.connection.execute(select(func.count()).select_from(table).where(*mine)).scalar_one()

    def newest(self, limit: int, *, open_at: datetime | None = None) -> list[Proposal]:
        """List the newest first; only those that can still come to something at that time, where asked."""
        query = select(table).order_by(table.c.made_at.desc(), table.c.id.desc()).limit(limit)
        if open_at is not None:
            is_waiting = or_(table.c.state == ProposalState.OPEN, table.c.deployment_id.is_(None))
            query = query.where(_IN_USE, is_waiting, table.c.expires_at > open_at)
        return [_proposal(row) for row in self.connection.execute(query)]

    def named(self, name: str) -> list[Proposal]:
        """List at most two whose id is this one, or ends or begins so."""
        spelled = func.text(table.c.id)
        fits = or_(spelled.startswith(name, autoescape=True), spelled.endswith(name, autoescape=True))
        return [_proposal(row) for row in self.connection.execute(select(table).where(fits).limit(2))]

    def apply_alone(self) -> None:
        """Let nobody else apply a proposal until the unit ends."""
        self.connection.execute(select(func.pg_advisory_xact_lock(_APPLYING)))


def _proposal(row: Any) -> Proposal:
    values = dict(row._mapping)
    return Proposal(**values | {"kind": ProposalKind(row.kind), "state": ProposalState(row.state)})
