"""Create the table of pushes that were let through before they were taken.

Revision ID: 0008
Revises: 0007

A new table only, so the version that runs is not touched.
"""

from __future__ import annotations

from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE checked_pushes (
            forge TEXT NOT NULL,
            repository_id BIGINT NOT NULL,
            ref TEXT NOT NULL,
            sha TEXT NOT NULL,
            decision_id UUID NOT NULL,
            decided_at TIMESTAMP WITH TIME ZONE NOT NULL,
            CONSTRAINT pk_checked_pushes PRIMARY KEY (forge, repository_id, ref, sha),
            CONSTRAINT ck_checked_pushes_sha CHECK (sha ~ '^([0-9a-f]{40}|[0-9a-f]{64})$')
        )
        """
    )
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        op.execute(f'GRANT SELECT, INSERT ON checked_pushes TO "{name}"')


def downgrade() -> None:
    op.execute("DROP TABLE checked_pushes")
