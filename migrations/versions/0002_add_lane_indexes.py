"""Add the indexes of fair shares: lanes of environments, repositories of pending deliveries, who came how far.

Revision ID: 0002
Revises: 0001

Indexes only, so the version that runs is not touched; all but one are partial and small.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INDEXES = {
    "ix_deliveries_repository": "deliveries ((forge || ':' || (event #>> '{repository,id}')), position) WHERE state = 'pending'",
    "ix_deployments_lane": "deployments (environment, position) WHERE state = 'planned' AND due_at IS NULL",
    "ix_deployments_under_way": "deployments (environment) WHERE due_at IS NOT NULL",
    "ix_deployments_came_far": "deployments (environment, position)"
    " WHERE state IN ('granted', 'dispatching', 'dispatched', 'succeeded')",
    "ix_deployments_released": "deployments (environment, updated_at, id) WHERE state = 'succeeded'",
    "ix_dispatches_environment": "dispatches (environment, position)",
}


def upgrade() -> None:
    for name, what in INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON {what}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
