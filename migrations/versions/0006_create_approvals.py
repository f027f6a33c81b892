"""Create approval requests and votes; let deployments be held, and be overrides.

Revision ID: 0006
Revises: 0005

Two new tables, and checks that take more than before, so the version that runs is not touched.
"""

from __future__ import annotations

from alembic import context, op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STATES = ("planned", "identified", "permitted", "granted", "dispatching", "dispatched", "succeeded", "denied", "superseded", "failed")
TRIGGERS = ("push", "tag", "release", "rollback", "failure", "replay")
CREATE = (
    """
    CREATE TABLE approval_requests (
        id UUID NOT NULL,
        deployment_id UUID NOT NULL,
        environment TEXT NOT NULL,
        sha TEXT NOT NULL,
        targets JSONB NOT NULL,
        policy_digest TEXT NOT NULL,
        requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        state TEXT NOT NULL,
        closed_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_approval_requests PRIMARY KEY (id),
        CONSTRAINT ck_approval_requests_state CHECK (state IN ('open', 'granted', 'rejected', 'expired', 'void')),
        CONSTRAINT ck_approval_requests_closed CHECK ((state = 'open') = (closed_at IS NULL)),
        CONSTRAINT fk_approval_requests_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
    )
    """,
    """
    CREATE UNIQUE INDEX uq_approval_requests_open ON approval_requests (deployment_id) WHERE state = 'open'
    """,
    """
    CREATE INDEX ix_approval_requests_deployment_id ON approval_requests (deployment_id)
    """,
    """
    CREATE TABLE votes (
        request_id UUID NOT NULL,
        subject TEXT NOT NULL,
        id UUID NOT NULL,
        verdict TEXT NOT NULL,
        comment TEXT NOT NULL,
        context JSONB NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_votes PRIMARY KEY (request_id, subject),
        CONSTRAINT fk_votes_request_id FOREIGN KEY(request_id) REFERENCES approval_requests (id),
        CONSTRAINT uq_votes_id UNIQUE (id),
        CONSTRAINT ck_votes_verdict CHECK (verdict IN ('approve', 'reject'))
    )
    """,
    """
    CREATE TABLE override_reviews (
        deployment_id UUID NOT NULL,
        subject TEXT NOT NULL,
        comment TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_override_reviews PRIMARY KEY (deployment_id),
        CONSTRAINT fk_override_reviews_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
    )
    """,
    "ALTER TABLE deployments ADD COLUMN purpose TEXT",
    """
    CREATE INDEX ix_deployments_held ON deployments (environment, position) WHERE state = 'held'
    """,
    """
    CREATE INDEX ix_deployments_override ON deployments (created_at) WHERE trigger = 'override'
    """,
)


def upgrade() -> None:
    for statement in CREATE:
        op.execute(statement)
    _check("state", (*STATES[:2], "held", *STATES[2:]))
    _check("trigger", (*TRIGGERS, "override"))
    op.execute("ALTER TABLE deployments ADD CONSTRAINT ck_deployments_purpose CHECK ((trigger = 'override') = (purpose IS NOT NULL))")
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        op.execute(f'GRANT SELECT, INSERT, UPDATE ON approval_requests TO "{name}"')
        op.execute(f'GRANT SELECT, INSERT ON votes, override_reviews TO "{name}"')  # a vote is given once and never changed


def downgrade() -> None:
    op.execute("UPDATE deployments SET state = 'denied', due_at = NULL WHERE state = 'held'")
    _check("state", STATES)
    op.execute("ALTER TABLE deployments DROP CONSTRAINT ck_deployments_purpose")
    op.execute("DROP INDEX ix_deployments_override")
    op.execute("DROP INDEX ix_deployments_held")
    op.execute("UPDATE deployments SET trigger = 'replay' WHERE trigger = 'override'")
    _check("trigger", TRIGGERS)
    op.execute("ALTER TABLE deployments DROP COLUMN purpose")
    op.execute("DROP TABLE override_reviews")
    op.execute("DROP TABLE votes")
    op.execute("DROP TABLE approval_requests")


def _check(column: str, values: tuple[str, ...]) -> None:
    """Take other values from now on; what is there fits, so nothing is looked through under the lock."""
    op.execute(f"ALTER TABLE deployments DROP CONSTRAINT ck_deployments_{column}")
    listed = ", ".join(f"'{value}'" for value in values)
    op.execute(f"ALTER TABLE deployments ADD CONSTRAINT ck_deployments_{column} CHECK ({column} IN ({listed})) NOT VALID")
    op.execute(f"ALTER TABLE deployments VALIDATE CONSTRAINT ck_deployments_{column}")
