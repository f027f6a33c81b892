"""Create the table of baselines, and the indexes by which the history of a ref and of a commit is found.

Revision ID: 0011
Revises: 0010

A new table and new indexes only, so the version that runs is not touched.
"""

from __future__ import annotations

from alembic import context, op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE baselines (
            environment TEXT NOT NULL,
            repository TEXT NOT NULL,
            sha TEXT NOT NULL,
            accepted_by TEXT NOT NULL,
            accepted_at TIMESTAMP WITH TIME ZONE NOT NULL,
            reason TEXT NOT NULL,
            CONSTRAINT pk_baselines PRIMARY KEY (environment, repository, sha),
            CONSTRAINT ck_baselines_sha CHECK (sha ~ '^([0-9a-f]{40}|[0-9a-f]{64})$')
        )
        """
    )
    op.execute("CREATE INDEX ix_deployments_ref ON deployments (forge, repository_id, ref, environment, position)")
    op.execute("CREATE INDEX ix_deployments_sha ON deployments (forge, repository_id, sha)")
    op.execute("CREATE INDEX ix_deliveries_after ON deliveries (forge, (event ->> 'after'::text)) WHERE event IS NOT NULL")
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        op.execute(f'GRANT SELECT, INSERT ON baselines TO "{name}"')


def downgrade() -> None:
    op.execute("DROP INDEX ix_deliveries_after")
    op.execute("DROP INDEX ix_deployments_sha")
    op.execute("DROP INDEX ix_deployments_ref")
    op.execute("DROP TABLE baselines")
