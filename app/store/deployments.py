"""Deployments and their stage results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, case, func, or_, select, text, update

from app.domain.deployment import (
    ENDED,
    NEXT_STAGE,
    Deployment,
    Stage,
    StageResult,
    State,
    Step,
    Trigger,
    Turn,
    Wake,
)
from app.domain.event import Repository
from app.store.audit import as_json
from app.store.schema.deployment_rows import deployment_from, doubt_json, row_of
from app.store.schema.line import deployments as table
from app.store.schema.line import positions, slots, stages

SHORTEST_PREFIX = 7
LONGEST_PAUSE = timedelta(minutes=5)
WINDOWS_GIVEN_BACK = 8
_WAKING = (table.c.id, table.c.correlation_id, table.c.environment, table.c.state)


# By name: a column that a later version has added keeps its default.
_NAMES = ", ".join(f'"{c.name}"' for c in table.c)
_ADD = text(f"""
INSERT INTO deployments ({_NAMES})
SELECT {_NAMES} FROM json_populate_recordset(CAST(NULL AS deployments), CAST(:rows AS json))
ON CONFLICT DO NOTHING RETURNING CAST(id AS text)
""")  # noqa: S608 - names of ours only
# Only deployments that moved lately count as under way. One that meets a passing fault (its forge is away, say) gives its place
# back at once. Some windows of them may do so; more would let a whole backlog run into the same fault.
_ADMIT = text("""
WITH free AS (
    SELECT name, greatest(0, :window - (
        SELECT count(*) FILTER (WHERE NOT has_fault) + greatest(0, count(*) FILTER (WHERE has_fault) - :given_back)
        FROM (
            SELECT coalesce(d.faulted_at >= d.updated_at, false) AS has_fault FROM deployments AS d
            WHERE d.environment = name AND d.due_at IS NOT NULL AND d.state <> 'held'
            AND d.updated_at > clock_timestamp() - :standing
        ) AS standing
    )) AS places
    FROM unnest(CAST(:environments AS text[])) AS name
), oldest AS (
    SELECT d.id FROM free CROSS JOIN LATERAL (
        SELECT id FROM deployments WHERE environment = free.name AND state = 'planned' AND due_at IS NULL
        ORDER BY position, id LIMIT free.places FOR UPDATE SKIP LOCKED
    ) AS d
)
UPDATE deployments SET due_at = :due_at, reason = NULL, updated_at = clock_timestamp()
FROM oldest WHERE deployments.id = oldest.id
RETURNING deployments.id, deployments.correlation_id, deployments.environment, deployments.state, deployments.position
""").columns(table.c.id, table.c.correlation_id, table.c.environment, table.c.state, table.c.position)
# Jumps from one environment to the next in the index, so its cost does not grow with the length of the lanes.
_LANES = text("""
WITH RECURSIVE found (environment) AS (
    SELECT min(environment) FROM deployments WHERE state = 'planned' AND due_at IS NULL
    UNION ALL
    SELECT (SELECT min(environment) FROM deployments
            WHERE state = 'planned' AND due_at IS NULL AND environment > found.environment)
    FROM found WHERE found.environment IS NOT NULL
)
SELECT environment FROM found WHERE environment IS NOT NULL
""")
# Two indexes of their own find the newest, so a long lane costs nothing here.
_TURN = text("""
SELECT (SELECT state FROM deployments WHERE id = :id) AS state,
    (SELECT deployment_id FROM slots WHERE environment = :environment) AS holder,
    coalesce(greatest((
        SELECT position FROM deployments WHERE environment = :environment AND trigger <> 'failure'
        AND state IN ('granted', 'dispatching', 'dispatched', 'succeeded') ORDER BY position DESC LIMIT 1
    ), (
        SELECT dispatches.position FROM dispatches JOIN deployments ON deployments.id = dispatches.deployment_id
        WHERE dispatches.environment = :environment AND trigger <> 'failure' ORDER BY dispatches.position DESC LIMIT 1
    )) > :position, false) AS is_outrun,
    EXISTS (
        SELECT FROM deployments WHERE environment = :environment AND state = 'granted' AND position < :position
        AND trigger <> 'failure'
    ) OR EXISTS (
        SELECT FROM deployments WHERE environment = :environment AND state = 'held' AND position < :position
    ) AS has_older,
    coalesce((SELECT version FROM access_version), 0) AS access_version
""").columns(table.c.state, slots.c.deployment_id.label("holder"))
# One statement, so it is atomic: the row is locked, and moves only from the state, and with the doubt, in which it was read.
# A stage has a result already if the deployment was held for a doubt after its permission; then it runs again.
_ADVANCE = text("""
WITH moved AS (
    UPDATE deployments SET state = :state, due_at = :due_at, reason = :reason,
        principal = coalesce(:principal, principal), updated_at = clock_timestamp()
    WHERE id = :id AND state = :standing AND doubt IS NOT DISTINCT FROM CAST(:doubt AS jsonb) RETURNING id
), recorded AS (
    INSERT INTO stages (deployment_id, stage, outcome, detail, started_at, finished_at)
    SELECT id, :stage, :outcome, CAST(:found AS jsonb), CAST(:started_at AS timestamptz), CAST(:finished_at AS timestamptz)
    FROM moved WHERE CAST(:stage AS text) IS NOT NULL
    ON CONFLICT (deployment_id, stage) DO UPDATE SET outcome = excluded.outcome, detail = excluded.detail,
        started_at = excluded.started_at, finished_at = excluded.finished_at
), audited AS (
    INSERT INTO audit_entries (id, at, action, actor, deployment_id, delivery_id, correlation_id, detail)
    SELECT CAST(:entry_id AS uuid), CAST(:at AS timestamptz), :action, :actor, CAST(:of_deployment AS uuid),
        CAST(:of_delivery AS uuid), CAST(:correlation_id AS uuid), CAST(:detail AS jsonb) FROM moved
)
SELECT id FROM moved
""")
_NOTE_FAULT = text("""
UPDATE deployments SET faulted_at = CASE WHEN faulted_at >= updated_at THEN faulted_at ELSE clock_timestamp() END
WHERE id = :id AND state NOT IN ('succeeded', 'denied', 'superseded', 'failed') RETURNING faulted_at
""")
_NOT_BY_OVERRIDE = text("""
NOT EXISTS (
    WITH RECURSIVE origin AS (
        SELECT deployments.release_id, deployments.trigger
        UNION ALL SELECT earlier.release_id, earlier.trigger
        FROM deployments AS earlier JOIN origin ON earlier.id = origin.release_id
    )
    SELECT FROM origin WHERE origin.trigger = 'override'
)
""")
_BY_ID = select(table).where(table.c.id == bindparam("id"))
_LOCKED_BY_ID = _BY_ID.with_for_update()
_RESULT = select(stages).where(stages.c.deployment_id == bindparam("id"), stages.c.stage == bindparam("stage"))


@dataclass(frozen=True, slots=True)
class SqlDeployments:
    """The tables of deployments and stages (protocol: `pipeline.ports.stores.line.Deployments`)."""

    connection: Connection

    def add(self, deployment: Deployment, due_at: datetime | None) -> bool:
        """Insert a deployment; False if the act was already planned (invariant 2). Without a due time it waits in its lane."""
        return bool(self._insert([row_of(deployment, due_at)]))

    def add_all(self, deployments: Sequence[Deployment]) -> set[str]:
        """Insert deployments in this order into their lanes; return the ids of those that were not already planned."""
        return self._insert([row_of(d, None) for d in deployments])

    def admit(self, environments: Sequence[str], *, window: int, due_at: datetime) -> list[Wake]:
        """Start the oldest deployments in these lanes, as far as `window` leaves places; list them.

        Two callers may fill the same place at the same moment. Then one more deployment is under way for a while.
        """
        times = {"due_at": due_at, "standing": LONGEST_PAUSE}
        places = {"window": window, "given_back": WINDOWS_GIVEN_BACK * window}
        rows = self.connection.execute(_ADMIT, {"environments": list(environments), **places, **times})
        return [wake_from(row) for row in sorted(rows, key=lambda r: r.position)]

    def lanes(self) -> list[str]:
        """List the environments that have deployments in their lanes."""
        return list(self.connection.execute(_LANES).scalars())

    def former_names(self, repository: Repository) -> list[str]:
        """List the other names (OWNER/NAME) under which the repository of this number was deployed."""
        query = select(table.c.full_name).where(table.c.forge == repository.forge, table.c.repository_id == repository.id)
        names = self.connection.execute(query.where(table.c.full_name != repository.full_name).distinct()).scalars()
        return sorted(names)

    def next_position(self) -> int:
        """Return the next number in the order of receipt."""
        return self.connection.execute(select(positions.next_value())).scalar_one()

    def lock(self, deployment_id: str) -> Deployment | None:
        """Lock a deployment and return it as it is now."""
        return self._first(_LOCKED_BY_ID, deployment_id)

    def get(self, deployment_id: str) -> Deployment | None:
        """Return a deployment without a lock."""
        return self._first(_BY_ID, deployment_id)

    def advance(self, deployment: Deployment, step: Step) -> bool:
        """Move a deployment on, with the stage's result and the audit entry; False if it has moved meanwhile (invariant 3)."""
        return self.connection.execute(_ADVANCE, _as_step(deployment, step)).first() is not None

    def defer(self, deployment_id: str, due_at: datetime, why: str) -> None:
        """Set when the sweeper looks again, and say why not before. It met no fault. An ended deployment stays ended."""
        unended = and_(table.c.id == deployment_id, table.c.state.not_in(ENDED))
        self.connection.execute(update(table).where(unended).values(due_at=due_at, reason=why, faulted_at=None))

    def note_fault(self, deployment_id: str) -> datetime | None:
        """Note that a passing fault keeps it from moving; return since when. None: it has ended."""
        since: datetime | None = self.connection.execute(_NOTE_FAULT, {"id": deployment_id}).scalar()
        return since

    def explain(self, deployment_id: str, why: str) -> None:
        """Say why a deployment stands still, until it moves. Its times stay, and an ended one keeps its reason."""
        unended = and_(table.c.id == deployment_id, table.c.state.not_in(ENDED), table.c.reason.is_distinct_from(why))
        self.connection.execute(update(table).where(unended).values(reason=why))

    def result(self, deployment_id: str, stage: Stage) -> StageResult | None:
        """Return a stage's result."""
        row = self.connection.execute(_RESULT, {"id": deployment_id, "stage": stage}).first()
        if row is None:
            return None
        return StageResult(Stage(row.stage), row.outcome, row.detail, row.started_at, row.finished_at)

    def last_release(self, environment: str, *, unlike_sha: str | None = None) -> Deployment | None:
        """Return the newest succeeded deployment of this environment; with `unlike_sha`, the newest of another commit."""
        query = _releases(environment)
        if unlike_sha is not None:
            query = query.where(table.c.sha != unlike_sha)
        return self._one(query.limit(1))

    def last_good_release(self, environment: str, *, unlike_sha: str | None = None) -> Deployment | None:
        """Return the newest release that did not come by an override, nor by going back to one."""
        query = _releases(environment).where(_NOT_BY_OVERRIDE)
        if unlike_sha is not None:
            query = query.where(table.c.sha != unlike_sha)
        return self._one(query.limit(1))

    def release(self, environment: str, release: str) -> Deployment | None:
        """Return the newest succeeded deployment with this id, or with a commit that begins so."""
        by_id: ColumnElement[bool] = func.text(table.c.id) == release.lower()
        if len(release) >= SHORTEST_PREFIX:
            by_id = or_(by_id, table.c.sha.startswith(release.lower(), autoescape=True))
        return self._one(_releases(environment).where(by_id).limit(1))

    def turn(self, deployment: Deployment) -> Turn:
        """Tell how a deployment stands in the order. The gate's own redeployments neither outrun others nor wait."""
        parameters = {"id": deployment.id, "environment": deployment.environment, "position": deployment.position}
        row = self.connection.execute(_TURN, parameters).one()
        return Turn(State(row.state) if row.state else None, row.holder, row.is_outrun, row.has_older, row.access_version)

    def older_waiting(self, environment: str, position: int) -> list[Deployment]:
        """Lock and list older deployments that are granted and wait for dispatch, or that wait for approvals."""
        query = _waiting(environment).where(table.c.position < position, table.c.trigger != Trigger.FAILURE)
        query = query.order_by(table.c.position, table.c.id).with_for_update()
        return [deployment_from(row) for row in self.connection.execute(query)]

    def held(self, environment: str) -> list[Deployment]:
        """Lock and list the deployments that wait for approvals, oldest first."""
        query = select(table).where(table.c.environment == environment, table.c.state == text("'held'"))
        rows = self.connection.execute(query.order_by(table.c.position, table.c.id).with_for_update())
        return [deployment_from(row) for row in rows]

    def take_due(self, now: datetime, again_after: timedelta, limit: int) -> list[Wake]:
        """Claim deployments that stand still past their due time. The longer one stands, the later its next due time.

        A deployment that holds the slot is looked at in short intervals: all others of its environment wait for it.
        """
        longer = func.least(func.greatest(again_after, now - table.c.updated_at), LONGEST_PAUSE)
        holds_slot = table.c.state.in_((State.DISPATCHING, State.DISPATCHED))
        again_at = now + case((holds_slot, again_after), else_=longer)
        # A time beyond any pause comes from a clock that was set back since.
        is_due = or_(table.c.due_at <= now, table.c.due_at > now + 2 * max(LONGEST_PAUSE, again_after))
        due = select(table.c.id).where(is_due).order_by(table.c.due_at).limit(limit)
        statement = update(table).where(table.c.id.in_(due.with_for_update(skip_locked=True))).values(due_at=again_at)
        rows = self.connection.execute(statement.returning(*_WAKING))
        return [wake_from(row) for row in rows]

    def _insert(self, rows: list[dict[str, Any]]) -> set[str]:
        return set(self.connection.execute(_ADD, {"rows": as_json(rows)}).scalars()) if rows else set()

    def _first(self, by_id: Select[Any], deployment_id: str) -> Deployment | None:
        row = self.connection.execute(by_id, {"id": deployment_id}).first()
        return deployment_from(row) if row else None

    def _one(self, query: Select[Any]) -> Deployment | None:
        row = self.connection.execute(query).first()
        return deployment_from(row) if row else None


def _as_step(deployment: Deployment, step: Step) -> dict[str, Any]:
    result, entry = step.result, step.entry
    return {
        "id": deployment.id,
        "standing": deployment.state,
        "doubt": as_json(doubt_json(deployment.doubt)) if deployment.doubt is not None else None,
        "state": step.state,
        "due_at": step.due_at,
        "reason": step.reason,
        "principal": step.principal,
        "stage": result.stage if result else None,
        "outcome": result.outcome if result else None,
        "found": as_json(result.detail) if result else None,
        "started_at": result.started_at if result else None,
        "finished_at": result.finished_at if result else None,
        "entry_id": entry.id,
        "at": entry.at,
        "action": entry.action,
        "actor": entry.actor,
        "of_deployment": entry.deployment_id,
        "of_delivery": entry.delivery_id,
        "correlation_id": entry.correlation_id,
        "detail": as_json(entry.detail),
    }


def wake_from(row: Row[Any]) -> Wake:
    """Read the wake of a deployment's next stage from its row."""
    return Wake(row.id, row.correlation_id, row.environment, NEXT_STAGE[State(row.state)])


def _releases(environment: str) -> Select[Any]:
    succeeded = select(table).where(table.c.environment == environment, table.c.state == State.SUCCEEDED)
    # Releases of an environment are in the order of receipt (invariant 6), which does not depend on a clock.
    return succeeded.order_by(table.c.position.desc(), table.c.id.desc())


def _waiting(environment: str) -> Select[Any]:
    is_waiting = or_(table.c.state == text("'granted'"), table.c.state == text("'held'"))  # spelled as in two partial indexes
    return select(table).where(table.c.environment == environment, is_waiting)
