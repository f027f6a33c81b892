"""The table of pushes that were allowed before the repository took them: one row for each ref and its new commit."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, Table, Text

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
    CheckConstraint("sha ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'", name="sha"),
)
