"""Create the access map: sources, identities, groups, links, keys, sessions, SCIM and hints.

Revision ID: 0003
Revises: 0002

New tables only, so the version that runs is not touched.
"""

from __future__ import annotations

from alembic import context, op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CREATE = (
    """
    CREATE TABLE sources (
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        refreshed_at TIMESTAMP WITH TIME ZONE,
        reconciled_at TIMESTAMP WITH TIME ZONE,
        tried_at TIMESTAMP WITH TIME ZONE,
        lease_until TIMESTAMP WITH TIME ZONE,
        lease_holder TEXT,
        fault TEXT,
        digest TEXT,
        CONSTRAINT pk_sources PRIMARY KEY (name),
        CONSTRAINT ck_sources_kind CHECK (kind IN ('file', 'scim', 'okta', 'aws_iam', 'oidc'))
    )
    """,
    """
    CREATE TABLE identities (
        source TEXT NOT NULL,
        external_id TEXT NOT NULL,
        subject TEXT NOT NULL,
        login TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT,
        owner TEXT,
        active BOOLEAN NOT NULL,
        gone BOOLEAN DEFAULT false NOT NULL,
        said_at TIMESTAMP WITH TIME ZONE NOT NULL,
        confirmed_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_identities PRIMARY KEY (source, external_id),
        CONSTRAINT ck_identities_kind CHECK (kind IN ('human', 'machine', 'agent')),
        CONSTRAINT ck_identities_gone CHECK (NOT (gone AND active)),
        CONSTRAINT fk_identities_source FOREIGN KEY(source) REFERENCES sources (name)
    )
    """,
    """
    CREATE INDEX ix_identities_subject ON identities (subject)
    """,
    """
    CREATE TABLE identity_emails (
        source TEXT NOT NULL,
        external_id TEXT NOT NULL,
        email TEXT NOT NULL,
        CONSTRAINT pk_identity_emails PRIMARY KEY (source, external_id, email),
        CONSTRAINT fk_identity_emails_source FOREIGN KEY(source, external_id) REFERENCES identities (source, external_id) ON DELETE CASCADE
    )
    """,
    """
    CREATE INDEX ix_identity_emails_email ON identity_emails (email)
    """,
    """
    CREATE TABLE access_groups (
        source TEXT NOT NULL,
        external_id TEXT NOT NULL,
        name TEXT NOT NULL,
        said_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_access_groups PRIMARY KEY (source, external_id),
        CONSTRAINT fk_access_groups_source FOREIGN KEY(source) REFERENCES sources (name)
    )
    """,
    """
    CREATE TABLE memberships (
        source TEXT NOT NULL,
        group_id TEXT NOT NULL,
        external_id TEXT NOT NULL,
        said_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_memberships PRIMARY KEY (source, group_id, external_id),
        CONSTRAINT fk_memberships_source FOREIGN KEY(source, group_id) REFERENCES access_groups (source, external_id) ON DELETE CASCADE
    )
    """,
    """
    CREATE INDEX ix_memberships_member ON memberships (source, external_id)
    """,
    """
    CREATE TABLE access_version (
        id INTEGER DEFAULT 1 NOT NULL,
        version BIGINT NOT NULL,
        CONSTRAINT pk_access_version PRIMARY KEY (id),
        CONSTRAINT ck_access_version_one CHECK (id = 1)
    )
    """,
    """
    CREATE TABLE account_links (
        forge TEXT NOT NULL,
        account_id TEXT NOT NULL,
        how TEXT NOT NULL,
        subject TEXT NOT NULL,
        by TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_account_links PRIMARY KEY (forge, account_id, how),
        CONSTRAINT ck_account_links_how CHECK (how IN ('file', 'admin', 'person', 'rule'))
    )
    """,
    """
    CREATE INDEX ix_account_links_subject ON account_links (subject)
    """,
    """
    CREATE TABLE commit_keys (
        id UUID NOT NULL,
        subject TEXT NOT NULL,
        kind TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        public TEXT NOT NULL,
        added_at TIMESTAMP WITH TIME ZONE NOT NULL,
        added_by TEXT NOT NULL,
        revoked_at TIMESTAMP WITH TIME ZONE,
        revoked_by TEXT,
        CONSTRAINT pk_commit_keys PRIMARY KEY (id),
        CONSTRAINT ck_commit_keys_kind CHECK (kind IN ('ssh', 'gpg')),
        CONSTRAINT uq_commit_keys_fingerprint UNIQUE (fingerprint)
    )
    """,
    """
    CREATE INDEX ix_commit_keys_subject ON commit_keys (subject)
    """,
    """
    CREATE TABLE sessions (
        id UUID NOT NULL,
        digest TEXT NOT NULL,
        data JSONB NOT NULL,
        subject TEXT,
        issuer TEXT,
        issuer_url TEXT,
        signed_in_at TIMESTAMP WITH TIME ZONE,
        acr TEXT DEFAULT '' NOT NULL,
        amr JSONB DEFAULT '[]' NOT NULL,
        mfa_at TIMESTAMP WITH TIME ZONE,
        address TEXT DEFAULT '' NOT NULL,
        country TEXT DEFAULT '' NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
        ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_sessions PRIMARY KEY (id),
        CONSTRAINT uq_sessions_digest UNIQUE (digest)
    )
    """,
    """
    CREATE INDEX ix_sessions_ends_at ON sessions (ends_at)
    """,
    """
    CREATE INDEX ix_sessions_subject ON sessions (subject) WHERE subject IS NOT NULL
    """,
    """
    CREATE TABLE scim_tokens (
        id UUID NOT NULL,
        source TEXT NOT NULL,
        client TEXT NOT NULL,
        digest TEXT NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        created_by TEXT NOT NULL,
        last_used_at TIMESTAMP WITH TIME ZONE,
        revoked_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_scim_tokens PRIMARY KEY (id),
        CONSTRAINT uq_scim_tokens_digest UNIQUE (digest)
    )
    """,
    """
    CREATE TABLE scim_resources (
        source TEXT NOT NULL,
        type TEXT NOT NULL,
        id TEXT NOT NULL,
        unique_name TEXT NOT NULL,
        external_id TEXT,
        document JSONB NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        modified_at TIMESTAMP WITH TIME ZONE NOT NULL,
        CONSTRAINT pk_scim_resources PRIMARY KEY (source, type, id),
        CONSTRAINT uq_scim_resources_unique_name UNIQUE (source, type, unique_name)
    )
    """,
    """
    CREATE INDEX ix_scim_resources_external_id ON scim_resources (source, type, external_id)
    """,
    """
    CREATE TABLE hints (
        source TEXT NOT NULL,
        event_id TEXT NOT NULL,
        hints JSONB NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        done_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pk_hints PRIMARY KEY (source, event_id)
    )
    """,
    """
    CREATE INDEX ix_hints_open ON hints (source, received_at) WHERE done_at IS NULL
    """,
)

TABLES = (
    "hints",
    "scim_resources",
    "scim_tokens",
    "sessions",
    "commit_keys",
    "account_links",
    "access_version",
    "memberships",
    "access_groups",
    "identity_emails",
    "identities",
    "sources",
)


def upgrade() -> None:
    for statement in CREATE:
        op.execute(statement)
    role = context.config.attributes.get("app_role")
    if role:
        name = str(role).replace('"', '""')
        op.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON {", ".join(TABLES)} TO "{name}"')
        op.execute(f'REVOKE DELETE ON commit_keys, sources FROM "{name}"')  # a revoked key and a known source stay known


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
