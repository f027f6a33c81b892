"""The table of pushes that were allowed before the repository took them: one row for each change of a ref and its account."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from app.store.schema.line import ID, TIME, metadata

checked_pushes = Table(
    "checked_pushes",
    metadata,
    Column("forge", Text, primary_key=True),
    Column("repository_id", BigInteger, primary_key=True),
    Column("ref", Text, primary_key=True),
    Column("sha", Text, primary_key=True),
    Column("decision_id", ID, nullable=False),
    Column("decided_at", TIME, nullable=False),
    Column("old", Text, primary_key=True, server_default=text("''")),
    Column("account", Text, primary_key=True, server_default=text("''")),
    Column("bases", JSONB(none_as_null=True)),
    CheckConstraint("sha ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'", name="sha"),
)
Index("ix_checked_pushes_sha", checked_pushes.c.forge, checked_pushes.c.repository_id, checked_pushes.c.sha)
