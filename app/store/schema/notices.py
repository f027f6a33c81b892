"""The table of notices: one row for each notice and sink, kept for some days after it ended."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from app.store.schema.line import ID, TIME, metadata

notices = Table(
    "notices",
    metadata,
    Column("id", ID, primary_key=True),
    Column("sink", Text, primary_key=True),
    Column("at", TIME, nullable=False),
    Column("event", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("due_at", TIME),
    Column("lease_until", TIME),
    Column("sent_at", TIME),
    Column("given_up_at", TIME),
    Column("fault", Text),
    CheckConstraint("num_nonnulls(due_at, sent_at, given_up_at) = 1", name="one_end"),
)
Index("ix_notices_open", notices.c.sink, notices.c.due_at, postgresql_where=notices.c.due_at.is_not(None))
