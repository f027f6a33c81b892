"""Keep with an override or a rollback the session in which a person asked for it.

Revision ID: 0012
Revises: 0011

A new table, so the version that runs is not touched. What it plans has no row here, and is judged by the newest session, as
before.
"""

from __future__ import annotations

from alembic import context, op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

CREATE = (
    """
    CREATE TABLE deployment_sessions (
        deployment_id UUID NOT NULL,
        session_id UUID NOT NULL,
        subject TEXT NOT NULL,
        facts JSONB NOT NULL,
        revoked_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_deployment_sessions PRIMARY KEY (deployment_id),
        CONSTRAINT fk_deployment_sessions_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
    )
    """,
    "CREATE INDEX ix_deployment_sessions_subject ON deployment_sessions (subject) WHERE revoked_at IS NULL",
)


def upgrade() -> None:
    for statement in CREATE:
        op.execute(statement)
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        op.execute(f'GRANT SELECT, INSERT, UPDATE (revoked_at) ON deployment_sessions TO "{name}"')


def downgrade() -> None:
    op.execute("DROP TABLE deployment_sessions")
