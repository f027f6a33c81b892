"""Add the endorsement of published keys, by which the receiver tells them from rows that somebody else wrote.

Revision ID: 0014
Revises: 0013

The version that runs goes on: it inserts and reads without this column. The first process of the new version that mints
endorses its keys.
"""

from __future__ import annotations

from alembic import context, op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE signing_keys ADD COLUMN endorsement TEXT NOT NULL DEFAULT ''")
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        op.execute(f'GRANT UPDATE (endorsement) ON signing_keys TO "{name}"')


def downgrade() -> None:
    op.execute("ALTER TABLE signing_keys DROP COLUMN endorsement")
