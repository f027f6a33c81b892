"""Stored proposals. A proposal's content never changes, and its row is never deleted."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, insert, or_, select, text, update

from app.domain.proposal import Proposal, ProposalKind, ProposalState
from app.store.schema.proposals import proposals as table

_IS_LIVE = text("state IN ('open', 'accepted')")  # spelled as in the index
_APPLY_LOCK = 7243551202  # the advisory lock of the process that writes policies


@dataclass(frozen=True, slots=True)
class SqlProposals:
    """The table of proposals (protocol: `pipeline.ports.stores.proposals.Proposals`)."""

    connection: Connection

    def add(self, proposal: Proposal) -> None:
        """Store a proposal."""
        self.connection.execute(insert(table).values(asdict(proposal)))

    def get(self, proposal_id: str) -> Proposal | None:
        """Return a proposal without a lock."""
        row = self.connection.execute(select(table).where(table.c.id == proposal_id)).one_or_none()
        return _proposal(row) if row is not None else None

    def lock(self, proposal_id: str) -> Proposal | None:
        """Lock a proposal and return it as it is now."""
        row = self.connection.execute(select(table).where(table.c.id == proposal_id).with_for_update()).one_or_none()
        return _proposal(row) if row is not None else None

    def update(self, proposal: Proposal) -> None:
        """Store the new state of a (locked) proposal."""
        names = ("state", "decided_by", "decided_at", "comment", "deployment_id", "policy_digest")
        values = {name: getattr(proposal, name) for name in names}
        self.connection.execute(update(table).where(table.c.id == proposal.id).values(values))

    def waiting_of(self, proposer: str, now: datetime) -> int:
        """Count a proposer's proposals that wait to be decided or applied.

        Another call for the same proposer waits until this unit ends.
        """
        self.connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"proposals of {proposer}", 0))))
        is_waiting = (_IS_LIVE, table.c.deployment_id.is_(None), table.c.proposer == proposer, table.c.expires_at > now)
        return self.connection.execute(select(func.count()).select_from(table).where(*is_waiting)).scalar_one()

    def newest(self, limit: int, *, open_at: datetime | None = None) -> list[Proposal]:
        """List proposals, newest first; with `open_at`, only those that still wait at that time."""
        query = select(table).order_by(table.c.made_at.desc(), table.c.id.desc()).limit(limit)
        if open_at is not None:
            is_waiting = or_(table.c.state == ProposalState.OPEN, table.c.deployment_id.is_(None))
            query = query.where(_IS_LIVE, is_waiting, table.c.expires_at > open_at)
        return [_proposal(row) for row in self.connection.execute(query)]

    def named(self, name: str) -> list[Proposal]:
        """List at most two proposals whose id begins or ends with `name`."""
        id_text = func.text(table.c.id)
        fits = or_(id_text.startswith(name, autoescape=True), id_text.endswith(name, autoescape=True))
        return [_proposal(row) for row in self.connection.execute(select(table).where(fits).limit(2))]

    def apply_alone(self) -> None:
        """Keep others from applying a proposal until the unit ends."""
        self.connection.execute(select(func.pg_advisory_xact_lock(_APPLY_LOCK)))


def _proposal(row: Any) -> Proposal:
    values = dict(row._mapping)
    return Proposal(**values | {"kind": ProposalKind(row.kind), "state": ProposalState(row.state)})
