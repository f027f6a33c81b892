"""Slots (one dispatch at a time in each environment) and dispatches (intent, lease, fence), by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.domain.deployment import Dispatch, DispatchRow, Progress, Wake
from app.store.audit import as_json
from app.store.deployments import wake_from
from app.store.schema.line import deployments, slots
from app.store.schema.line import dispatches as table

DETAIL_CHARACTERS = 2000

_LOCK = select(slots.c.deployment_id).where(slots.c.environment == bindparam("environment")).with_for_update()
_HOLD = text("UPDATE slots SET deployment_id = :id WHERE environment = :environment")
_RELEASE = text("""
WITH freed AS (
    UPDATE slots SET deployment_id = nullif(deployment_id, :id) WHERE environment = :environment RETURNING deployment_id
)
SELECT id, correlation_id, environment, state FROM deployments
WHERE environment = :environment AND state = 'granted' AND EXISTS (SELECT FROM freed WHERE deployment_id IS NULL)
ORDER BY position DESC, id DESC LIMIT 1
""").columns(deployments.c.id, deployments.c.correlation_id, deployments.c.environment, deployments.c.state)
_INTEND = text("""
INSERT INTO dispatches (id, deployment_id, environment, target, position, progress, fence, attempts, holder, lease_until)
SELECT id, deployment_id, environment, target, position, 'unknown', fence, attempts,
    CASE WHEN attempts > 0 THEN :holder END, CASE WHEN attempts > 0 THEN clock_timestamp() + :lease END
FROM json_to_recordset(CAST(:rows AS json)) AS meant (
    id uuid, deployment_id uuid, environment text, target text, position bigint, fence bigint, attempts integer
)
""")
_OF = select(table).where(table.c.deployment_id == bindparam("id")).order_by(table.c.id)
_CLAIM = text("""
UPDATE dispatches SET fence = fence + 1, attempts = attempts + 1, holder = :holder, lease_until = clock_timestamp() + :lease
WHERE id = :id AND (lease_until IS NULL OR lease_until < clock_timestamp()) AND progress = 'unknown'
RETURNING id, deployment_id, environment, target, position, fence, attempts
""").columns(*(table.c[name] for name in ("id", "deployment_id", "environment", "target", "position", "fence", "attempts")))
_REPORT = text("""
UPDATE dispatches SET progress = :progress, detail = :detail, token_id = coalesce(:token_id, token_id), lease_until = NULL,
    reported_at = clock_timestamp()
WHERE id = :id AND fence = :fence
""")


@dataclass(frozen=True, slots=True)
class SqlSlots:
    """The table of slots (protocol: `pipeline.ports.stores.line.Slots`)."""

    connection: Connection

    def lock(self, environment: str) -> str | None:
        """Lock the environment's slot until the unit ends; return the id of the deployment that holds it."""
        row = self.connection.execute(_LOCK, {"environment": environment}).first()
        if row is None:  # the first dispatch to this environment
            self.connection.execute(upsert(slots).values(environment=environment).on_conflict_do_nothing())
            row = self.connection.execute(_LOCK, {"environment": environment}).one()
        holder: str | None = row.deployment_id
        return holder

    def hold(self, environment: str, deployment_id: str) -> None:
        """Give the (locked) slot to a deployment."""
        self.connection.execute(_HOLD, {"environment": environment, "id": deployment_id})

    def release(self, environment: str, deployment_id: str) -> Wake | None:
        """Free the (locked) slot if this deployment holds it. If it is free now, return the newest deployment that waits."""
        row = self.connection.execute(_RELEASE, {"environment": environment, "id": deployment_id}).first()
        return wake_from(row) if row else None


@dataclass(frozen=True, slots=True)
class SqlDispatches:
    """The table of dispatches (protocol: `pipeline.ports.stores.line.Dispatches`)."""

    connection: Connection

    def intend(self, dispatches: Sequence[Dispatch], holder: str, seconds: float) -> None:
        """Store the intent to start. Dispatches with an attempt are under `holder`'s lease from the beginning."""
        parameters = {"rows": as_json(dispatches), "holder": holder, "lease": timedelta(seconds=seconds)}
        self.connection.execute(_INTEND, parameters)

    def of(self, deployment_id: str) -> list[DispatchRow]:
        """List the dispatches of a deployment in the order of the environment's targets (ids are time-ordered)."""
        return [
            DispatchRow(_dispatch_from(row), Progress(row.progress), row.detail, row.reported_at)
            for row in self.connection.execute(_OF, {"id": deployment_id})
        ]

    def claim(self, dispatch_id: str, holder: str, seconds: float) -> Dispatch | None:
        """Take the lease if none is running and the target has not answered: one more attempt, and a higher fence."""
        parameters = {"id": dispatch_id, "holder": holder, "lease": timedelta(seconds=seconds)}
        row = self.connection.execute(_CLAIM, parameters).first()
        return _dispatch_from(row) if row else None

    def renew(self, dispatch: Dispatch, seconds: float) -> bool:
        """Extend the lease; False if it was lost to a higher fence."""
        statement = update(table).where(table.c.id == dispatch.id, table.c.fence == dispatch.fence)
        statement = statement.values(lease_until=func.clock_timestamp() + timedelta(seconds=seconds))
        return self.connection.execute(statement.returning(table.c.id)).first() is not None

    def report(self, dispatch: Dispatch, progress: Progress, detail: str, token_id: str | None) -> bool:
        """Store the target's answer and end the lease; False if the lease was lost."""
        parameters = {"id": dispatch.id, "fence": dispatch.fence, "progress": progress, "token_id": token_id}
        return self.connection.execute(_REPORT, parameters | {"detail": detail[:DETAIL_CHARACTERS]}).rowcount == 1

    def observe(self, dispatch_id: str, progress: Progress, detail: str) -> None:
        """Store the answer to a poll."""
        statement = update(table).where(table.c.id == dispatch_id, table.c.progress == Progress.RUNNING)
        values = {"progress": progress, "detail": detail[:DETAIL_CHARACTERS], "reported_at": func.clock_timestamp()}
        self.connection.execute(statement.values(values))


def _dispatch_from(row: Row[Any]) -> Dispatch:
    return Dispatch(
        id=row.id,
        deployment_id=row.deployment_id,
        environment=row.environment,
        target=row.target,
        position=row.position,
        fence=row.fence,
        attempts=row.attempts,
    )
