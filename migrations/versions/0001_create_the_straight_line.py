"""Create the straight line: inbox, deployments, stages, slots, dispatches, audit, versions and signing keys.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

CREATE = (
    """
    CREATE SEQUENCE positions AS BIGINT
    """,
    """
    CREATE TABLE audit_entries (
        seq BIGINT GENERATED ALWAYS AS IDENTITY,
        id UUID NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        action TEXT NOT NULL,
        actor TEXT NOT NULL,
        deployment_id UUID,
        delivery_id UUID,
        correlation_id UUID NOT NULL,
        detail JSONB NOT NULL,
        CONSTRAINT pk_audit_entries PRIMARY KEY (seq),
        CONSTRAINT uq_audit_entries_id UNIQUE (id)
    )
    """,
    """
    CREATE INDEX ix_audit_entries_delivery_id ON audit_entries (delivery_id)
    """,
    """
    CREATE INDEX ix_audit_entries_configuration ON audit_entries (seq) WHERE action = 'config:taken'
    """,
    """
    CREATE INDEX ix_audit_entries_deployment_id ON audit_entries (deployment_id)
    """,
    """
    CREATE TABLE deliveries (
        id UUID NOT NULL,
        position BIGINT DEFAULT nextval('positions') NOT NULL,
        forge TEXT NOT NULL,
        forge_delivery_id TEXT NOT NULL,
        event_header TEXT NOT NULL,
        event JSONB,
        reason TEXT,
        body BYTEA NOT NULL,
        state TEXT NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        due_at TIMESTAMP WITH TIME ZONE NOT NULL,
        tries INTEGER DEFAULT 0 NOT NULL,
        CONSTRAINT pk_deliveries PRIMARY KEY (id),
        CONSTRAINT uq_deliveries_forge_delivery UNIQUE (forge, forge_delivery_id),
        CONSTRAINT ck_deliveries_state CHECK (state IN ('pending', 'planned', 'ignored'))
    )
    """,
    """
    CREATE INDEX ix_deliveries_pending ON deliveries (position) WHERE state = 'pending'
    """,
    """
    CREATE INDEX ix_deliveries_received_at ON deliveries (received_at)
    """,
    """
    CREATE TABLE signing_keys (
        kid TEXT NOT NULL,
        public_jwk JSONB NOT NULL,
        sealed TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_signing_keys PRIMARY KEY (kid)
    )
    """,
    """
    CREATE TABLE versions (
        kind TEXT NOT NULL,
        digest TEXT NOT NULL,
        text TEXT NOT NULL,
        taken_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_versions PRIMARY KEY (kind, digest)
    )
    """,
    """
    CREATE TABLE deployments (
        id UUID NOT NULL,
        position BIGINT NOT NULL,
        delivery_id UUID,
        correlation_id UUID NOT NULL,
        environment TEXT NOT NULL,
        forge TEXT NOT NULL,
        repository_id BIGINT NOT NULL,
        full_name TEXT NOT NULL,
        owner TEXT NOT NULL,
        owner_id BIGINT NOT NULL,
        ref TEXT NOT NULL,
        before TEXT,
        sha TEXT NOT NULL,
        actor_forge TEXT NOT NULL,
        actor_id TEXT NOT NULL,
        actor_login TEXT NOT NULL,
        trigger TEXT NOT NULL,
        release_id UUID,
        state TEXT NOT NULL,
        reason TEXT,
        principal TEXT,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
        due_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_deployments PRIMARY KEY (id),
        CONSTRAINT ck_deployments_state CHECK (state IN ('planned', 'identified', 'permitted', 'granted', 'dispatching', 'dispatched', 'succeeded', 'denied', 'superseded', 'failed')),
        CONSTRAINT ck_deployments_trigger CHECK (trigger IN ('push', 'tag', 'release', 'rollback', 'failure', 'replay')),
        CONSTRAINT ck_deployments_sha CHECK (sha ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
        CONSTRAINT ck_deployments_release CHECK ((trigger IN ('rollback', 'failure')) = (release_id IS NOT NULL)),
        CONSTRAINT fk_deployments_delivery_id FOREIGN KEY(delivery_id) REFERENCES deliveries (id),
        CONSTRAINT fk_deployments_release_id FOREIGN KEY(release_id) REFERENCES deployments (id)
    )
    """,
    """
    CREATE INDEX ix_deployments_created_at ON deployments (created_at)
    """,
    """
    CREATE INDEX ix_deployments_due_at ON deployments (due_at) WHERE due_at IS NOT NULL
    """,
    """
    CREATE INDEX ix_deployments_environment ON deployments (environment, position)
    """,
    """
    CREATE INDEX ix_deployments_waiting ON deployments (environment, position) WHERE state = 'granted'
    """,
    """
    CREATE UNIQUE INDEX uq_deployments_act ON deployments (forge, repository_id, ref, sha, environment) WHERE trigger IN ('push', 'tag', 'release')
    """,
    """
    CREATE TABLE dispatches (
        id UUID NOT NULL,
        deployment_id UUID NOT NULL,
        environment TEXT NOT NULL,
        target TEXT NOT NULL,
        position BIGINT NOT NULL,
        fence BIGINT DEFAULT 0 NOT NULL,
        attempts INTEGER DEFAULT 0 NOT NULL,
        holder TEXT,
        lease_until TIMESTAMP WITH TIME ZONE,
        progress TEXT NOT NULL,
        detail TEXT DEFAULT '' NOT NULL,
        token_id TEXT,
        reported_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
        CONSTRAINT pk_dispatches PRIMARY KEY (id),
        CONSTRAINT uq_dispatches_deployment_target UNIQUE (deployment_id, target),
        CONSTRAINT ck_dispatches_progress CHECK (progress IN ('unknown', 'running', 'succeeded', 'failed')),
        CONSTRAINT fk_dispatches_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
    )
    """,
    """
    CREATE TABLE slots (
        environment TEXT NOT NULL,
        deployment_id UUID,
        CONSTRAINT pk_slots PRIMARY KEY (environment),
        CONSTRAINT fk_slots_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
    )
    """,
    """
    CREATE TABLE stages (
        deployment_id UUID NOT NULL,
        stage TEXT NOT NULL,
        outcome TEXT NOT NULL,
        detail JSONB NOT NULL,
        started_at TIMESTAMP WITH TIME ZONE NOT NULL,
        finished_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_stages PRIMARY KEY (deployment_id, stage),
        CONSTRAINT ck_stages_stage CHECK (stage IN ('validate_identity', 'check_permission', 'inject_token', 'dispatch_deploy', 'confirm_deploy')),
        CONSTRAINT fk_stages_deployment_id FOREIGN KEY(deployment_id) REFERENCES deployments (id)
    )
    """,
    """
    CREATE INDEX ix_stages_finished_at ON stages (finished_at)
    """,
)

# The application may append to the audit log and read it. The trigger holds for everybody else, the owner included;
# who disables it leaves the gap in what auditors hold (sequence numbers have none otherwise).
APPEND_ONLY = (
    """
    CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'audit entries are only ever appended' USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    """
    CREATE TRIGGER audit_entries_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
    """,
)

TABLES = ("signing_keys", "versions", "audit_entries", "dispatches", "slots", "stages", "deployments", "deliveries")


def upgrade() -> None:
    for statement in (*CREATE, *APPEND_ONLY):
        op.execute(statement)
    role = context.config.attributes.get("app_role")
    if role:
        _grant(str(role).replace('"', '""'))


def _grant(role: str) -> None:
    op.execute(f'GRANT USAGE ON SCHEMA public TO "{role}"')
    op.execute(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{role}"')
    op.execute(f'GRANT INSERT ON {", ".join(TABLES)} TO "{role}"')
    op.execute(f'GRANT UPDATE ON deliveries, deployments, slots, dispatches TO "{role}"')
    op.execute(f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO "{role}"')
    op.execute(f'REVOKE UPDATE, DELETE, TRUNCATE ON audit_entries FROM "{role}"')


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.execute("DROP FUNCTION refuse_audit_change")
    op.execute("DROP SEQUENCE positions")
