"""The tables. Constraints live here and in migrations/; `tests/store/test_migrations.py` keeps the two equal."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Sequence,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from app.domain.access import LinkedBy, SourceKind
from app.domain.delivery import DeliveryState
from app.domain.deployment import Progress, Stage, State, Trigger
from app.domain.principal import PrincipalKind

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_TIME = DateTime(timezone=True)
_ID = Uuid(as_uuid=False)


def _one_of(column: str, values: type[StrEnum]) -> str:
    return f"{column} IN ({', '.join(repr(v.value) for v in values)})"


# One order of receipt for deliveries and for deployments that come without one (rollbacks, replays).
positions = Sequence("positions", metadata=metadata, data_type=BigInteger)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("position", BigInteger, positions, server_default=positions.next_value(), nullable=False),
    Column("forge", Text, nullable=False),
    Column("forge_delivery_id", Text, nullable=False),
    Column("event_header", Text, nullable=False),
    Column("event", JSONB(none_as_null=True)),
    Column("reason", Text),
    Column("body", LargeBinary, nullable=False),
    Column("state", Text, nullable=False),
    Column("received_at", _TIME, nullable=False),
    Column("due_at", _TIME, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    UniqueConstraint("forge", "forge_delivery_id", name="uq_deliveries_forge_delivery"),
    CheckConstraint(_one_of("state", DeliveryState), name="state"),
)
Index("ix_deliveries_pending", deliveries.c.position, postgresql_where=deliveries.c.state == text("'pending'"))
# The planner's way from repository to repository, over those that wait only.
REPOSITORY_OF_DELIVERY = "((forge || ':'::text) || (event #>> '{repository,id}'::text[]))"
Index(
    "ix_deliveries_repository",
    text(REPOSITORY_OF_DELIVERY),
    deliveries.c.position,
    postgresql_where=deliveries.c.state == text("'pending'"),
)
Index("ix_deliveries_received_at", deliveries.c.received_at)

deployments = Table(
    "deployments",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("delivery_id", _ID, ForeignKey("deliveries.id")),
    Column("correlation_id", _ID, nullable=False),
    Column("environment", Text, nullable=False),
    Column("forge", Text, nullable=False),
    Column("repository_id", BigInteger, nullable=False),
    Column("full_name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("owner_id", BigInteger, nullable=False),
    Column("ref", Text, nullable=False),
    Column("before", Text),
    Column("sha", Text, nullable=False),
    Column("actor_forge", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("actor_login", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("release_id", _ID, ForeignKey("deployments.id")),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("principal", Text),
    Column("created_at", _TIME, nullable=False),
    Column("updated_at", _TIME, nullable=False),
    Column("due_at", _TIME),
    CheckConstraint(_one_of("state", State), name="state"),
    CheckConstraint(_one_of("trigger", Trigger), name="trigger"),
    CheckConstraint("sha ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'", name="sha"),
    CheckConstraint("(trigger IN ('rollback', 'failure')) = (release_id IS NOT NULL)", name="release"),
)
# Invariant 2: whatever delivery id or event header it comes under, one deployment per environment.
Index(
    "uq_deployments_act",
    deployments.c.forge,
    deployments.c.repository_id,
    deployments.c.ref,
    deployments.c.sha,
    deployments.c.environment,
    unique=True,
    postgresql_where=text("trigger IN ('push', 'tag', 'release')"),
)
Index("ix_deployments_environment", deployments.c.environment, deployments.c.position)
Index("ix_deployments_due_at", deployments.c.due_at, postgresql_where=deployments.c.due_at.is_not(None))
Index(
    "ix_deployments_waiting",
    deployments.c.environment,
    deployments.c.position,
    postgresql_where=text("state = 'granted'"),
)
# A lane: those that are planned and not yet admitted. They have no due time (nor have those that ended).
Index(
    "ix_deployments_lane",
    deployments.c.environment,
    deployments.c.position,
    postgresql_where=text("state = 'planned' AND due_at IS NULL"),
)
Index("ix_deployments_under_way", deployments.c.environment, postgresql_where=deployments.c.due_at.is_not(None))
Index(
    "ix_deployments_came_far",
    deployments.c.environment,
    deployments.c.position,
    postgresql_where=text("state IN ('granted', 'dispatching', 'dispatched', 'succeeded')"),
)
Index(
    "ix_deployments_released",
    deployments.c.environment,
    deployments.c.updated_at,
    deployments.c.id,
    postgresql_where=text("state = 'succeeded'"),
)
Index("ix_deployments_created_at", deployments.c.created_at)

stages = Table(
    "stages",
    metadata,
    Column("deployment_id", _ID, ForeignKey("deployments.id"), primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("started_at", _TIME, nullable=False),
    Column("finished_at", _TIME, nullable=False),
    CheckConstraint(_one_of("stage", Stage), name="stage"),
)
Index("ix_stages_finished_at", stages.c.finished_at)

slots = Table(
    "slots",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("deployment_id", _ID, ForeignKey("deployments.id")),
)

dispatches = Table(
    "dispatches",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("deployment_id", _ID, ForeignKey("deployments.id"), nullable=False),
    Column("environment", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("holder", Text),
    Column("lease_until", _TIME),
    Column("progress", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=text("''")),
    Column("token_id", Text),
    Column("reported_at", _TIME, nullable=False, server_default=text("now()")),
    UniqueConstraint("deployment_id", "target", name="uq_dispatches_deployment_target"),
    CheckConstraint(_one_of("progress", Progress), name="progress"),
)
Index("ix_dispatches_environment", dispatches.c.environment, dispatches.c.position)

# Append-only: the migration takes UPDATE, DELETE and TRUNCATE from the application's role, and a trigger from everybody.
audit_entries = Table(
    "audit_entries",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("id", _ID, nullable=False, unique=True),
    Column("at", _TIME, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("deployment_id", _ID),
    Column("delivery_id", _ID),
    Column("correlation_id", _ID, nullable=False),
    Column("detail", JSONB, nullable=False),
)
Index("ix_audit_entries_deployment_id", audit_entries.c.deployment_id)
Index("ix_audit_entries_delivery_id", audit_entries.c.delivery_id)
Index("ix_audit_entries_configuration", audit_entries.c.seq, postgresql_where=audit_entries.c.action == text("'config:taken'"))

versions = Table(
    "versions",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("taken_at", _TIME, nullable=False, server_default=text("now()")),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("public_jwk", JSONB, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
)

# The access map: what each source says. Rows of one source are written by that source only (domain/access.py).
sources = Table(
    "sources",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("refreshed_at", _TIME),
    Column("reconciled_at", _TIME),
    Column("tried_at", _TIME),
    Column("lease_until", _TIME),
    Column("fault", Text),
    Column("digest", Text),
    CheckConstraint(_one_of("kind", SourceKind), name="kind"),
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
    Column("said_at", _TIME, nullable=False),
    Column("confirmed_at", _TIME),
    CheckConstraint(_one_of("kind", PrincipalKind), name="kind"),
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
    Column("said_at", _TIME, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    Column("source", Text, primary_key=True),
    Column("group_id", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("said_at", _TIME, nullable=False),
    ForeignKeyConstraint(["source", "group_id"], ["access_groups.source", "access_groups.external_id"], ondelete="CASCADE"),
)
Index("ix_memberships_member", memberships.c.source, memberships.c.external_id)

# One row, raised by every change of the access map in the change's own transaction: who decided by an older one asks again.
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
    Column("at", _TIME, nullable=False),
    CheckConstraint(_one_of("how", LinkedBy), name="how"),
)
Index("ix_account_links_subject", account_links.c.subject)

commit_keys = Table(
    "commit_keys",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("public", Text, nullable=False),
    Column("added_at", _TIME, nullable=False),
    Column("added_by", Text, nullable=False),
    Column("revoked_at", _TIME),
    Column("revoked_by", Text),
    CheckConstraint("kind IN ('ssh', 'gpg')", name="kind"),
)
Index("ix_commit_keys_subject", commit_keys.c.subject)

# A session's cookie is not in here: only its SHA-256.
sessions = Table(
    "sessions",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("digest", Text, nullable=False, unique=True),
    Column("data", JSONB, nullable=False),
    Column("subject", Text),
    Column("issuer", Text),
    Column("signed_in_at", _TIME),
    Column("acr", Text, nullable=False, server_default=text("''")),
    Column("amr", JSONB, nullable=False, server_default=text("'[]'")),
    Column("mfa_at", _TIME),
    Column("address", Text, nullable=False, server_default=text("''")),
    Column("country", Text, nullable=False, server_default=text("''")),
    Column("created_at", _TIME, nullable=False),
    Column("seen_at", _TIME, nullable=False),
    Column("ends_at", _TIME, nullable=False),
)
Index("ix_sessions_subject", sessions.c.subject, postgresql_where=sessions.c.subject.is_not(None))
Index("ix_sessions_ends_at", sessions.c.ends_at)

scim_tokens = Table(
    "scim_tokens",
    metadata,
    Column("id", _ID, primary_key=True),
    Column("source", Text, nullable=False),
    Column("client", Text, nullable=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("created_at", _TIME, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("last_used_at", _TIME),
    Column("revoked_at", _TIME),
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
    Column("created_at", _TIME, nullable=False),
    Column("modified_at", _TIME, nullable=False),
    UniqueConstraint("source", "type", "unique_name", name="uq_scim_resources_unique_name"),
)
Index("ix_scim_resources_external_id", scim_resources.c.source, scim_resources.c.type, scim_resources.c.external_id)

# Word from a source that something changed, kept until it was read again; the id is the source's own, so it counts once.
hints = Table(
    "hints",
    metadata,
    Column("source", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("hints", JSONB, nullable=False),
    Column("received_at", _TIME, nullable=False),
    Column("done_at", _TIME),
)
Index("ix_hints_open", hints.c.source, hints.c.received_at, postgresql_where=hints.c.done_at.is_(None))
