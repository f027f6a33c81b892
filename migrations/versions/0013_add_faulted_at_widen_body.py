"""Note since when a deployment meets a passing fault, and let the body of an old delivery go.

Revision ID: 0013
Revises: 0009

The version that runs goes on: it inserts without the new column, and counts places without it. It writes a body with each
delivery. It reads a body only to show it (`delivery show --body`), and fails there if retention has been set and it is gone.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE deployments ADD COLUMN faulted_at TIMESTAMP WITH TIME ZONE")
    op.execute("ALTER TABLE deliveries ALTER COLUMN body DROP NOT NULL")


def downgrade() -> None:
    op.execute("UPDATE deliveries SET body = '' WHERE body IS NULL")
    op.execute("ALTER TABLE deliveries ALTER COLUMN body SET NOT NULL")
    op.execute("ALTER TABLE deployments DROP COLUMN faulted_at")
