"""The table of proposals. A proposal's content stays as it was; its state is stored beside it."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text, text

from app.domain.proposal import ProposalKind, ProposalState
from app.store.schema.line import ID, TIME, metadata, one_of

proposals = Table(
    "proposals",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("proposer", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("made_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("environment", Text),
    Column("release_id", ID, ForeignKey("deployments.id")),
    Column("file", Text),
    Column("text", Text),
    Column("policy_digest", Text),
    Column("state", Text, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", TIME),
    Column("comment", Text, nullable=False),
    Column("deployment_id", ID, ForeignKey("deployments.id")),
    CheckConstraint(one_of("kind", ProposalKind), name="kind"),
    CheckConstraint(one_of("state", ProposalState), name="state"),
    CheckConstraint("(kind = 'rollback') = (environment IS NOT NULL AND release_id IS NOT NULL)", name="rollback"),
    CheckConstraint("(kind = 'policy') = (file IS NOT NULL AND text IS NOT NULL AND policy_digest IS NOT NULL)", name="policy"),
    CheckConstraint("(state = 'open') = (decided_by IS NULL AND decided_at IS NULL)", name="decided"),
    CheckConstraint("decided_by <> proposer", name="not_by_oneself"),
    CheckConstraint("(kind = 'rollback' AND state = 'accepted') = (deployment_id IS NOT NULL)", name="planned"),
)
Index("ix_proposals_open", proposals.c.proposer, proposals.c.expires_at, postgresql_where=text("state IN ('open', 'accepted')"))
Index("ix_proposals_made_at", proposals.c.made_at)
