"""Read-only queries for people and probes, which return the domain's values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, Executable, Table, Text, cast, exists, func, or_, select, text

from app.domain.approval import Review, Vote
from app.domain.audit import AuditAction, AuditEntry, recorded_action
from app.domain.delivery import Delivery
from app.domain.deployment import Deployment, DispatchRow, Stage, StageResult, Trigger
from app.domain.errors import NotFound
from app.domain.event import Event
from app.store.approvals import vote_from
from app.store.deliveries import delivery_from, event_from_json
from app.store.dispatches import SqlDispatches
from app.store.engine import transaction
from app.store.schema.approvals import approval_requests, override_reviews, votes
from app.store.schema.deployment_rows import deployment_from
from app.store.schema.line import audit_entries, deliveries, deployments, dispatches, stages

SHORTEST_ID = 6
MOST_CANDIDATES = 5
LOOKED_BACK = 20_000  # entries
_PUSHES = (AuditAction.PUSH_ALLOWED, AuditAction.PUSH_DENIED)
NAMED_WITHIN = 60_000  # milliseconds, of the first 48 bits of a UUIDv7


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """A deployment with its stages, dispatches and votes."""

    deployment: Deployment
    stages: tuple[StageResult, ...]
    dispatches: tuple[DispatchRow, ...]
    votes: tuple[Vote, ...] = ()

    @property
    def evidence(self) -> Mapping[str, Any]:
        """The evidence that stage 1 found; empty if it has not run yet."""
        return next((stage.detail for stage in self.stages if stage.stage is Stage.VALIDATE_IDENTITY), {})


@dataclass(frozen=True, slots=True)
class OverrideView:
    """An override and its review (None: not reviewed yet)."""

    deployment: Deployment
    review: Review | None


@dataclass(frozen=True, slots=True)
class QueueAge:
    """Age in seconds of the oldest delivery to be planned, and of the oldest unended deployment; 0 if there is none."""

    deliveries: float
    deployments: float


@dataclass(frozen=True, slots=True)
class Reads:
    """Read-only queries. All raise StoreUnavailable."""

    engine: Engine

    def deliveries(self, limit: int, state: str | None = None) -> list[Delivery]:
        """List deliveries, newest first."""
        query = select(deliveries).order_by(deliveries.c.position.desc()).limit(limit)
        if state:
            query = query.where(deliveries.c.state == state)
        return [delivery_from(row) for row in self._rows(query)]

    def seen_events(self, limit: int = 2000) -> list[Event]:
        """List what the newest deliveries meant, newest first, without their bodies."""
        query = select(deliveries.c.event).where(deliveries.c.event.is_not(None)).order_by(deliveries.c.position.desc())
        events = (event_from_json(row.event) for row in self._rows(query.limit(limit)))
        return [event for event in events if event is not None]

    def delivery(self, name: str) -> Delivery:
        """Return the delivery with this id, the forge's id, or this commit, or an unambiguous part of one; raises NotFound."""
        commit = deliveries.c.event["after"].astext
        with transaction(self.engine) as connection:
            row = _by_name(connection, deliveries, name, "delivery", (deliveries.c.forge_delivery_id, commit))
        return delivery_from(row)

    def deployments(
        self,
        limit: int,
        environment: str | None = None,
        delivery_id: str | None = None,
        *,
        state: str | None = None,
        without: Collection[str] = (),
    ) -> list[Deployment]:
        """List deployments, newest first. `without` names environments that are left out."""
        query = select(deployments).order_by(deployments.c.created_at.desc(), deployments.c.id.desc()).limit(limit)
        if environment:
            query = query.where(deployments.c.environment == environment)
        if delivery_id:
            query = query.where(deployments.c.delivery_id == delivery_id)
        if state:
            query = query.where(deployments.c.state == state)
        if without:
            query = query.where(deployments.c.environment.not_in(without))
        return [deployment_from(row) for row in self._rows(query)]

    def deployment(self, name: str) -> DeploymentView:
        """Return the deployment with this id or commit, or an unambiguous part of one; raises NotFound."""
        with transaction(self.engine) as connection:
            deployment = deployment_from(_by_name(connection, deployments, name, "deployment", (deployments.c.sha,)))
            of_stages = select(stages).where(stages.c.deployment_id == deployment.id).order_by(stages.c.finished_at)
            results = tuple(_result_from(row) for row in connection.execute(of_stages))
            both = approval_requests.join(votes, votes.c.request_id == approval_requests.c.id)
            of_votes = select(votes).select_from(both).where(approval_requests.c.deployment_id == deployment.id)
            cast_votes = tuple(vote_from(row) for row in connection.execute(of_votes.order_by(votes.c.at, votes.c.id)))
            return DeploymentView(deployment, results, tuple(SqlDispatches(connection).of(deployment.id)), cast_votes)

    def overrides(self, limit: int, *, unreviewed: bool = False, without: Collection[str] = ()) -> list[OverrideView]:
        """List overrides, newest first; with `unreviewed`, only those that were dispatched and have no review.

        `without` names environments that are left out.
        """
        review = (override_reviews.c.subject.label("by"), override_reviews.c.comment, override_reviews.c.at)
        both = deployments.outerjoin(override_reviews, override_reviews.c.deployment_id == deployments.c.id)
        query = select(deployments, *review).select_from(both).where(deployments.c.trigger == text(f"'{Trigger.OVERRIDE}'"))
        if without:
            query = query.where(deployments.c.environment.not_in(without))
        if unreviewed:
            went_out = exists().where(dispatches.c.deployment_id == deployments.c.id)
            query = query.where(override_reviews.c.deployment_id.is_(None), went_out)
        rows = self._rows(query.order_by(deployments.c.created_at.desc(), deployments.c.id.desc()).limit(limit))
        return [OverrideView(deployment_from(row), Review(row.by, row.comment, row.at) if row.by else None) for row in rows]

    def audit(self, *, deployment_id: str | None = None, delivery_id: str | None = None, limit: int = 100) -> list[AuditEntry]:
        """List the last `limit` audit entries in order, of one deployment or delivery if given."""
        query = select(audit_entries).order_by(audit_entries.c.seq.desc()).limit(limit)
        if deployment_id:
            query = query.where(audit_entries.c.deployment_id == deployment_id)
        if delivery_id:
            query = query.where(audit_entries.c.delivery_id == delivery_id)
        return [_entry_from(row) for row in reversed(self._rows(query))]

    def push_checks(self) -> dict[str, int]:
        """Return the version of the check that asked last, for each repository of the newest entries of the log."""
        newest = select(audit_entries.c.seq, audit_entries.c.action, audit_entries.c.detail)
        recent = newest.order_by(audit_entries.c.seq.desc()).limit(LOOKED_BACK).subquery()
        version = recent.c.detail["check_version"].astext
        query = select(recent.c.detail["repository"].astext, version).where(recent.c.action.in_(_PUSHES), version.is_not(None))
        return {repository: int(version) for repository, version in self._rows(query.order_by(recent.c.seq))}

    def audit_of_push(self, decision_id: str) -> list[AuditEntry]:
        """List the audit entries of a decision about a push; raises NotFound.

        Their ids were made at the same moment and are time-ordered (UUIDv7, RFC 9562 §5.7), so the index of ids finds them.
        """
        try:
            first = UUID(decision_id)
        except ValueError:
            raise NotFound(f"{decision_id!r} is not the id of a decision") from None
        until = UUID(int=min(first.int + (NAMED_WITHIN << 80), 2**128 - 1))
        own = audit_entries.c
        query = select(audit_entries).where(own.id >= str(first), own.id <= str(until), own.correlation_id == str(first))
        entries = [_entry_from(row) for row in self._rows(query.order_by(own.seq)) if row.action.startswith("push:")]
        if not entries:
            raise NotFound(f"no decision about a push has the id {decision_id}")
        return entries

    def counts_by_state(self) -> dict[str, int]:
        """Count deployments by state."""
        query = select(deployments.c.state, func.count()).group_by(deployments.c.state)
        return {row[0]: row[1] for row in self._rows(query)}

    def queue_age(self) -> QueueAge:
        """Return the age of the oldest delivery and deployment that wait."""
        pending = select(func.min(deliveries.c.received_at)).where(deliveries.c.state == text("'pending'"))
        oldest = select(func.min(deployments.c.created_at))
        # Two partial indexes hold all deployments that have not ended: those under way, and those in a lane.
        under_way = oldest.where(deployments.c.due_at.is_not(None))
        in_lane = oldest.where(deployments.c.state == text("'planned'"), deployments.c.due_at.is_(None))
        unended = func.least(under_way.scalar_subquery(), in_lane.scalar_subquery())
        ages = [func.coalesce(func.extract("epoch", func.now() - since), 0) for since in (pending.scalar_subquery(), unended)]
        row = self._rows(select(*ages))[0]
        return QueueAge(float(row[0]), float(row[1]))

    def stages_finished(self, after: datetime, until: datetime) -> list[tuple[str, float]]:
        """List (stage, seconds) of the stages that ended in (after, until]."""
        seconds = func.extract("epoch", stages.c.finished_at - stages.c.started_at)
        query = select(stages.c.stage, seconds).where(stages.c.finished_at > after, stages.c.finished_at <= until)
        return [(row[0], float(row[1])) for row in self._rows(query)]

    def may_change_audit(self) -> bool:
        """Tell whether this role has the right to change audit entries (the trigger would still refuse)."""
        query = select(func.has_table_privilege("audit_entries", "UPDATE, DELETE, TRUNCATE"))
        return bool(self._rows(query)[0][0])

    def ping(self) -> None:
        """Run an empty query; raises StoreUnavailable."""
        self._rows(select(text("1")))

    def _rows(self, query: Executable) -> list[Any]:
        with transaction(self.engine) as connection:
            return list(connection.execute(query))


def _by_name(connection: Connection, table: Table, name: str, what: str, others: Sequence[ColumnElement[str]]) -> Any:
    """Find one row by its id or, if none has it, by the next of the other names: the whole, or an unambiguous beginning.

    An unambiguous end of an id is enough, too, since ids of one hour begin alike.
    """
    wanted = name.strip().lower()
    if len(wanted) < SHORTEST_ID:
        raise NotFound(f"{name!r} is too short for a {what}'s id; give {SHORTEST_ID} characters or more")
    id_text = cast(table.c.id, Text)
    by_id = or_(id_text.startswith(wanted, autoescape=True), id_text.endswith(wanted, autoescape=True))
    for fits in (by_id, *(func.lower(other).startswith(wanted, autoescape=True) for other in others)):
        query = select(table).where(fits).order_by(table.c.position.desc()).limit(MOST_CANDIDATES + 1)
        rows = connection.execute(query).all()
        if len(rows) == 1:
            return rows[0]
        if rows:
            more = ", …" if len(rows) > MOST_CANDIDATES else ""
            candidates = ", ".join(_candidate(row) for row in rows[:MOST_CANDIDATES])
            raise NotFound(f"more than one {what} is named {name}: {candidates}{more}")
    raise NotFound(f"no {what} is named {name}")


def _candidate(row: Any) -> str:
    """Name one of several rows: its id, and what tells it apart."""
    about = getattr(row, "environment", None) or row.event_header
    return f"{row.id} ({about}, {row.state})"


def _result_from(row: Any) -> StageResult:
    return StageResult(Stage(row.stage), row.outcome, row.detail, row.started_at, row.finished_at)


def _entry_from(row: Any) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        at=row.at,
        action=recorded_action(row.action),
        actor=row.actor,
        deployment_id=row.deployment_id,
        delivery_id=row.delivery_id,
        correlation_id=row.correlation_id,
        detail=row.detail,
        seq=row.seq,
    )
