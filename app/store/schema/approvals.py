"""The tables of approvals: requests to other people, their votes, and reviews of overrides. Rows are never deleted.

`deployment_sessions` holds the sign-in by which a person asked for an override or a rollback.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.approval import RequestState, Verdict
from app.store.schema.line import ID, TIME, metadata, one_of

approval_requests = Table(
    "approval_requests",
    metadata,
    Column("id", ID, primary_key=True),
    Column("deployment_id", ID, ForeignKey("deployments.id"), nullable=False),
    Column("environment", Text, nullable=False),
    Column("sha", Text, nullable=False),
    Column("targets", JSONB, nullable=False),
    Column("policy_digest", Text, nullable=False),
    Column("requested_at", TIME, nullable=False),
    Column("expires_at", TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("closed_at", TIME),
    CheckConstraint(one_of("state", RequestState), name="state"),
    CheckConstraint("(state = 'open') = (closed_at IS NULL)", name="closed"),
)
Index(
    "uq_approval_requests_open",
    approval_requests.c.deployment_id,
    unique=True,
    postgresql_where=text("state = 'open'"),
)
Index("ix_approval_requests_deployment_id", approval_requests.c.deployment_id)

votes = Table(
    "votes",
    metadata,
    Column("request_id", ID, ForeignKey("approval_requests.id"), primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("id", ID, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("context", JSONB, nullable=False),
    Column("at", TIME, nullable=False),
    UniqueConstraint("id", name="uq_votes_id"),
    CheckConstraint(one_of("verdict", Verdict), name="verdict"),
)

override_reviews = Table(
    "override_reviews",
    metadata,
    Column("deployment_id", ID, ForeignKey("deployments.id"), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("at", TIME, nullable=False),
)

deployment_sessions = Table(
    "deployment_sessions",
    metadata,
    Column("deployment_id", ID, ForeignKey("deployments.id"), primary_key=True),
    Column("session_id", ID, nullable=False),
    Column("subject", Text, nullable=False),
    Column("facts", JSONB, nullable=False),
    Column("revoked_at", TIME),
)
Index("ix_deployment_sessions_subject", deployment_sessions.c.subject, postgresql_where=text("revoked_at IS NULL"))
