"""Note since when a deployment meets a passing fault, and let the body of an old delivery go.

Revision ID: 0013
Revises: 0012

The version that runs goes on: it inserts without the new columns, and counts places without them. It writes a body with each
delivery, and never sees one that is gone, since only the new version empties them, and only if TIDEGATE_KEEP_BODIES is set.
Going back to it after that takes the way down first.
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE deployments ADD COLUMN faulted_at TIMESTAMP WITH TIME ZONE")
    op.execute("ALTER TABLE deliveries ALTER COLUMN body DROP NOT NULL, ADD COLUMN body_digest TEXT")
    op.execute("CREATE INDEX ix_deliveries_with_body ON deliveries (received_at) WHERE body IS NOT NULL")


def downgrade() -> None:
    op.execute("DROP INDEX ix_deliveries_with_body")
    op.execute("UPDATE deliveries SET body = '' WHERE body IS NULL")
    op.execute("ALTER TABLE deliveries ALTER COLUMN body SET NOT NULL, DROP COLUMN body_digest")
    op.execute("ALTER TABLE deployments DROP COLUMN faulted_at")
