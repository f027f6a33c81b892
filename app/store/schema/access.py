"""The tables of the access map: statements of sources, links of accounts, commit keys, sessions, SCIM.

Only a source writes its own rows (domain/access.py).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.access import LinkedBy, SourceKind
from app.domain.principal import PrincipalKind
from app.store.schema.line import ID, TIME, metadata, one_of

sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("refreshed_at", TIME),
    Column("reconciled_at", TIME),
    Column("tried_at", TIME),
    Column("lease_until", TIME),
    Column("lease_holder", Text),
    Column("fault", Text),
    Column("digest", Text),
    CheckConstraint(one_of("kind", SourceKind), name="kind"),
)

identities = Table(
    "identities",
    metadata,
    Column("source", Text, ForeignKey("sources.name"), primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("login", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text),
    Column("owner", Text),
    Column("active", Boolean, nullable=False),
    Column("gone", Boolean, nullable=False, server_default=text("false")),
    Column("said_at", TIME, nullable=False),
    Column("confirmed_at", TIME),
    CheckConstraint(one_of("kind", PrincipalKind), name="kind"),
    CheckConstraint("NOT (gone AND active)", name="gone"),
)
Index("ix_identities_subject", identities.c.subject)
Index("ix_identities_login", text("lower(login)"), postgresql_where=text("login <> ''"))

identity_emails = Table(
    "identity_emails",
    metadata,
    Column("source", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("email", Text, primary_key=True),
    ForeignKeyConstraint(["source", "external_id"], ["identities.source", "identities.external_id"], ondelete="CASCADE"),
)
Index("ix_identity_emails_email", identity_emails.c.email)

access_groups = Table(
    "access_groups",
    metadata,
    Column("source", Text, ForeignKey("sources.name"), primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("said_at", TIME, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("source", Text, primary_key=True),
    Column("group_id", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("said_at", TIME, nullable=False),
    ForeignKeyConstraint(["source", "group_id"], ["access_groups.source", "access_groups.external_id"], ondelete="CASCADE"),
)
Index("ix_memberships_member", memberships.c.source, memberships.c.external_id)

# One row. Every change of the access map raises it in its own transaction; a decision by an older version is made again.
access_version = Table(
    "access_version",
    metadata,
    Column("id", Integer, primary_key=True, server_default=text("1")),
    Column("version", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one"),
)

account_links = Table(
    "account_links",
    metadata,
    Column("forge", Text, primary_key=True),
    Column("account_id", Text, primary_key=True),
    Column("how", Text, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", TIME, nullable=False),
    CheckConstraint(one_of("how", LinkedBy), name="how"),
)
Index("ix_account_links_subject", account_links.c.subject)

commit_keys = Table(
    "commit_keys",
    metadata,
    Column("id", ID, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("public", Text, nullable=False),
    Column("added_at", TIME, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("revoked_at", TIME),
    Column("revoked_by", Text),
    CheckConstraint("kind IN ('ssh', 'gpg')", name="kind"),
)
Index("ix_commit_keys_subject", commit_keys.c.subject)

# The cookie of a session is not stored, only its SHA-256.
sessions = Table(
    "sessions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("data", JSONB, nullable=False),
    Column("subject", Text),
    Column("issuer", Text),
    Column("issuer_url", Text),
    Column("signed_in_at", TIME),
    Column("acr", Text, nullable=False, server_default=text("''")),
    Column("amr", JSONB, nullable=False, server_default=text("'[]'")),
    Column("mfa_at", TIME),
    Column("address", Text, nullable=False, server_default=text("''")),
    Column("country", Text, nullable=False, server_default=text("''")),
    Column("created_at", TIME, nullable=False),
    Column("seen_at", TIME, nullable=False),
    Column("ends_at", TIME, nullable=False),
)
Index("ix_sessions_subject", sessions.c.subject, postgresql_where=sessions.c.subject.is_not(None))
Index("ix_sessions_ends_at", sessions.c.ends_at)

scim_tokens = Table(
    "scim_tokens",
    metadata,
    Column("id", ID, primary_key=True),
    Column("source", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("created_at", TIME, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("last_used_at", TIME),
    Column("revoked_at", TIME),
)

scim_resources = Table(
    "scim_resources",
    metadata,
    Column("source", Text, primary_key=True),
    Column("type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("unique_name", Text, nullable=False),
    Column("external_id", Text),
    Column("document", JSONB, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("modified_at", TIME, nullable=False),
    UniqueConstraint("source", "type", "unique_name", name="uq_scim_resources_unique_name"),
)
Index("ix_scim_resources_external_id", scim_resources.c.source, scim_resources.c.type, scim_resources.c.external_id)

# Hints of a source that something changed, kept until it is read again. The event's id is the source's own, so it counts once.
hints = Table(
    "hints",
    metadata,
    Column("source", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("hints", JSONB, nullable=False),
    Column("received_at", TIME, nullable=False),
    Column("done_at", TIME),
)
Index("ix_hints_open", hints.c.source, hints.c.received_at, postgresql_where=hints.c.done_at.is_(None))
