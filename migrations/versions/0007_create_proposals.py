"""Create proposals.

Revision ID: 0007
Revises: 0006

A new table, of which the version that runs knows nothing.
"""

from __future__ import annotations

from alembic import context, op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CREATE = (
    """
    CREATE TABLE proposals (
        id UUID NOT NULL,
        kind TEXT NOT NULL,
        proposer TEXT NOT NULL,
        reason TEXT NOT NULL,
        made_at TIMESTAMP WITH TIME ZONE NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        environment TEXT,
        release_id UUID,
        file TEXT,
        text TEXT,
        policy_digest TEXT,
        state TEXT NOT NULL,
        decided_by TEXT,
        decided_at TIMESTAMP WITH TIME ZONE,
        comment TEXT NOT NULL,
        deployment_id UUID,
        CONSTRAINT pk_proposals PRIMARY KEY (id),
        CONSTRAINT ck_proposals_kind CHECK (kind IN ('rollback', 'policy')),
        CONSTRAINT ck_proposals_state CHECK (state IN ('open', 'accepted', 'rejected', 'applied')),
        CONSTRAINT ck_proposals_rollback CHECK ((kind = 'rollback') = (environment IS NOT NULL AND release_id IS NOT NULL)),
        CONSTRAINT ck_proposals_policy CHECK ((kind = 'policy') = (file IS NOT NULL AND text IS NOT NULL AND policy_digest IS NOT NULL)),
        CONSTRAINT ck_proposals_decided CHECK ((state = 'open') = (decided_by IS NULL AND decided_at IS NULL)),
        CONSTRAINT ck_proposals_not_by_oneself CHECK (decided_by <> proposer),
        CONSTRAINT ck_proposals_planned CHECK ((kind = 'rollback' AND state = 'accepted') = (deployment_id IS NOT NULL)),
        CONSTRAINT fk_proposals_release_id FOREIGN KEY(release_id) REFERENCES deployments (id),
        CONSTRAINT fk_proposals_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
    )
    """,
    """
    CREATE INDEX ix_proposals_open ON proposals (proposer, expires_at) WHERE state IN ('open', 'accepted')
    """,
    """
    CREATE INDEX ix_proposals_made_at ON proposals (made_at)
    """,
)


def upgrade() -> None:
    for statement in CREATE:
        op.execute(statement)
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        op.execute(f'GRANT SELECT, INSERT, UPDATE ON proposals TO "{name}"')


def downgrade() -> None:
    op.execute("DROP TABLE proposals")
