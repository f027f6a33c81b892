"""The table of freezes. Local times are stored without a zone, beside the name of their zone (`domain/freeze.py`)."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Interval, Table, Text

from app.store.schema.line import ID, TIME, metadata

LOCAL_TIME = DateTime(timezone=False)

freezes = Table(
    "freezes",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("environment", Text),
    Column("reason", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("starts_at", LOCAL_TIME, nullable=False),
    Column("lasts", Interval, nullable=False),
    Column("rule", Text),
    Column("until", LOCAL_TIME),
    Column("added_by", Text, nullable=False),
    Column("added_at", TIME, nullable=False),
    Column("ended_by", Text),
    Column("ended_at", TIME),
    CheckConstraint("lasts > INTERVAL '0'", name="lasts"),
    CheckConstraint("rule IS NOT NULL OR (until IS NOT NULL AND until = starts_at)", name="single"),
    CheckConstraint("until >= starts_at", name="until"),
    CheckConstraint("(ended_by IS NULL) = (ended_at IS NULL)", name="ended"),
)
# One freeze of a name at a time. A query for freezes in force does not read ended ones.
Index("uq_freezes_name", freezes.c.name, unique=True, postgresql_where=freezes.c.ended_at.is_(None))
