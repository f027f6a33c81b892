"""Create the outbox of notices.

Revision ID: 0005
Revises: 0004

A new table only, so the version that runs is not touched.
"""

from __future__ import annotations

from alembic import context, op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

CREATE = (
    """
    CREATE TABLE notices (
        id UUID NOT NULL,
        sink TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        event TEXT NOT NULL,
        subject TEXT NOT NULL,
        text TEXT NOT NULL,
        detail JSONB NOT NULL,
        tries INTEGER DEFAULT 0 NOT NULL,
        due_at TIMESTAMP WITH TIME ZONE,
        lease_until TIMESTAMP WITH TIME ZONE,
        sent_at TIMESTAMP WITH TIME ZONE,
        given_up_at TIMESTAMP WITH TIME ZONE,
        fault TEXT,
        CONSTRAINT pk_notices PRIMARY KEY (id, sink),
        CONSTRAINT ck_notices_one_end CHECK (num_nonnulls(due_at, sent_at, given_up_at) = 1)
    )
    """,
    """
    CREATE INDEX ix_notices_open ON notices (sink, due_at) WHERE due_at IS NOT NULL
    """,
)


def upgrade() -> None:
    for statement in CREATE:
        op.execute(statement)
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        op.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON notices TO "{name}"')


def downgrade() -> None:
    op.execute("DROP TABLE notices")
