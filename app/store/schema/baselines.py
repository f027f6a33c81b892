"""The table of baselines: histories that are accepted unseen, each for one environment. Rows are only added."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Table, Text

from app.store.schema.line import TIME, metadata

baselines = Table(
    "baselines",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("repository", Text, primary_key=True),
    Column("sha", Text, primary_key=True),
    Column("accepted_by", Text, nullable=False),
    Column("accepted_at", TIME, nullable=False),
    Column("reason", Text, nullable=False),
    CheckConstraint("sha ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'", name="sha"),
)
