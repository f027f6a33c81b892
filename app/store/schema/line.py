"""The tables of the line. The tables of the access map are in `access.py`.

Constraints live here and in migrations/; `tests/store/test_migrations.py` keeps the two equal.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
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

from app.domain.audit import AuditAction
from app.domain.delivery import DeliveryState
from app.domain.deployment import Progress, Stage, State, Trigger

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

TIME = DateTime(timezone=True)
ID = Uuid(as_uuid=False)


def one_of(column: str, values: type[StrEnum]) -> str:
    """Spell a check that a column holds one of an enum's values."""
    return f"{column} IN ({', '.join(repr(v.value) for v in values)})"


# One order of receipt, for deliveries and for deployments without a delivery (rollbacks, replays).
positions = Sequence("positions", metadata=metadata, data_type=BigInteger)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", ID, primary_key=True),
    Column("position", BigInteger, positions, server_default=positions.next_value(), nullable=False),
    Column("forge", Text, nullable=False),
    Column("forge_delivery_id", Text, nullable=False),
    Column("event_header", Text, nullable=False),
    Column("event", JSONB(none_as_null=True)),
    Column("reason", Text),
    Column("body", LargeBinary),
    Column("state", Text, nullable=False),
    Column("received_at", TIME, nullable=False),
    Column("due_at", TIME, nullable=False),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("body_digest", Text),  # SHA-256 of a body that is no longer kept
    UniqueConstraint("forge", "forge_delivery_id", name="uq_deliveries_forge_delivery"),
    CheckConstraint(one_of("state", DeliveryState), name="state"),
)
Index("ix_deliveries_pending", deliveries.c.position, postgresql_where=deliveries.c.state == text("'pending'"))
# For the planner's way from repository to repository, over pending deliveries only.
REPOSITORY_OF_DELIVERY = "((forge || ':'::text) || (event #>> '{repository,id}'::text[]))"
Index(
    "ix_deliveries_repository",
    text(REPOSITORY_OF_DELIVERY),
    deliveries.c.position,
    postgresql_where=deliveries.c.state == text("'pending'"),
)
Index("ix_deliveries_received_at", deliveries.c.received_at)
Index("ix_deliveries_with_body", deliveries.c.received_at, postgresql_where=deliveries.c.body.is_not(None))
# Who brought a commit: see `store/history.py`.
Index(
    "ix_deliveries_after",
    deliveries.c.forge,
    text("(event ->> 'after'::text)"),
    postgresql_where=deliveries.c.event.is_not(None),
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", ID, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("delivery_id", ID, ForeignKey("deliveries.id")),
    Column("correlation_id", ID, nullable=False),
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
    Column("release_id", ID, ForeignKey("deployments.id")),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("principal", Text),
    Column("created_at", TIME, nullable=False),
    Column("updated_at", TIME, nullable=False),
    Column("due_at", TIME),
    Column("purpose", Text),
    Column("faulted_at", TIME),  # it counts only if it is not before `updated_at`: a move makes it void
    Column("act", Integer, nullable=False, server_default=text("0")),
    Column("doubt", JSONB(none_as_null=True)),
    CheckConstraint(one_of("state", State), name="state"),
    CheckConstraint(one_of("trigger", Trigger), name="trigger"),
    CheckConstraint("(trigger = 'override') = (purpose IS NOT NULL)", name="purpose"),
    CheckConstraint("sha ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'", name="sha"),
    CheckConstraint("(trigger IN ('rollback', 'failure')) = (release_id IS NOT NULL)", name="release"),
)
# Invariant 2: one deployment of an act for each environment, whatever its delivery id or event header. `act` counts how often
# the ref had come to this commit before; a release that does not know the column always writes 0, and so plans no act twice.
Index(
    "uq_deployments_act",
    deployments.c.forge,
    deployments.c.repository_id,
    deployments.c.ref,
    deployments.c.sha,
    deployments.c.environment,
    deployments.c.act,
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
Index(
    "ix_deployments_held",
    deployments.c.environment,
    deployments.c.position,
    postgresql_where=text("state = 'held'"),
)
Index("ix_deployments_override", deployments.c.created_at, postgresql_where=text("trigger = 'override'"))
# A lane: deployments that are planned and not yet admitted. They do not have a due time (nor do ended ones).
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
# The former commits of a ref, and who brought a commit: see `store/history.py`.
Index(
    "ix_deployments_ref",
    deployments.c.forge,
    deployments.c.repository_id,
    deployments.c.ref,
    deployments.c.environment,
    deployments.c.position,
)
Index("ix_deployments_sha", deployments.c.forge, deployments.c.repository_id, deployments.c.sha)

stages = Table(
    "stages",
    metadata,
    Column("deployment_id", ID, ForeignKey("deployments.id"), primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("outcome", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("started_at", TIME, nullable=False),
    Column("finished_at", TIME, nullable=False),
    CheckConstraint(one_of("stage", Stage), name="stage"),
)
Index("ix_stages_finished_at", stages.c.finished_at)

slots = Table(
    "slots",
    metadata,
    Column("environment", Text, primary_key=True),
    Column("deployment_id", ID, ForeignKey("deployments.id")),
)

dispatches = Table(
    "dispatches",
    metadata,
    Column("id", ID, primary_key=True),
    Column("deployment_id", ID, ForeignKey("deployments.id"), nullable=False),
    Column("environment", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("holder", Text),
    Column("lease_until", TIME),
    Column("progress", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=text("''")),
    Column("token_id", Text),
    Column("reported_at", TIME, nullable=False, server_default=text("now()")),
    UniqueConstraint("deployment_id", "target", name="uq_dispatches_deployment_target"),
    CheckConstraint(one_of("progress", Progress), name="progress"),
)
Index("ix_dispatches_environment", dispatches.c.environment, dispatches.c.position)

# Append-only: the migration revokes UPDATE, DELETE and TRUNCATE from the application's role, and a trigger refuses them to all.
audit_entries = Table(
    "audit_entries",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("id", ID, nullable=False, unique=True),
    Column("at", TIME, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("deployment_id", ID),
    Column("delivery_id", ID),
    Column("correlation_id", ID, nullable=False),
    Column("detail", JSONB, nullable=False),
)
Index("ix_audit_entries_deployment_id", audit_entries.c.deployment_id)
Index("ix_audit_entries_delivery_id", audit_entries.c.delivery_id)
_IS_CONFIGURATION = audit_entries.c.action == text(f"'{AuditAction.CONFIG_TAKEN}'")
Index("ix_audit_entries_configuration", audit_entries.c.seq, postgresql_where=_IS_CONFIGURATION)

versions = Table(
    "versions",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("digest", Text, primary_key=True),
    Column("text", Text, nullable=False),
    Column("taken_at", TIME, nullable=False, server_default=text("now()")),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("public_jwk", JSONB, nullable=False),
    Column("sealed", Text, nullable=False),
    Column("created_at", TIME, nullable=False),
    Column("endorsement", Text, nullable=False, server_default=""),
)
