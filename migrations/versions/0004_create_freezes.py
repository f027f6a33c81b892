"""Create the table of freezes.

Revision ID: 0004
Revises: 0003

A new table only, so the version that runs is not touched.
"""

from __future__ import annotations

from alembic import context, op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

CREATE = (
    """
    CREATE TABLE freezes (
        id UUID NOT NULL,
        name TEXT NOT NULL,
        environment TEXT,
        reason TEXT NOT NULL,
        time_zone TEXT NOT NULL,
        starts_at TIMESTAMP WITHOUT TIME ZONE NOT NULL,
        lasts INTERVAL NOT NULL,
        rule TEXT,
        until TIMESTAMP WITHOUT TIME ZONE,
        added_by TEXT NOT NULL,
        added_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ended_by TEXT,
        ended_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_freezes PRIMARY KEY (id),
        CONSTRAINT ck_freezes_lasts CHECK (lasts > INTERVAL '0'),
        CONSTRAINT ck_freezes_single CHECK (rule IS NOT NULL OR (until IS NOT NULL AND until = starts_at)),
        CONSTRAINT ck_freezes_until CHECK (until >= starts_at),
        CONSTRAINT ck_freezes_ended CHECK ((ended_by IS NULL) = (ended_at IS NULL))
    )
    """,
    """
    CREATE UNIQUE INDEX uq_freezes_name ON freezes (name) WHERE ended_at IS NULL
    """,
)


def upgrade() -> None:
    for statement in CREATE:
        op.execute(statement)
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        op.execute(f'GRANT SELECT, INSERT, UPDATE (ended_by, ended_at) ON freezes TO "{name}"')  # what was frozen stays known


def downgrade() -> None:
    op.execute("DROP TABLE freezes")
