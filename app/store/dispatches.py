"""Slots (one dispatch at a time per environment) and dispatches (intent, lease, fence), by the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, cast, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from app.domain.deployment import Dispatch, DispatchRow, Progress
from app.store.schema import dispatches as table
from app.store.schema import slots

DETAIL_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class SqlSlots:
    """Protocol: pipeline.stores.Slots."""

    connection: Connection

    def lock(self, environment: str) -> str | None:
        """Lock the environment's slot until the unit ends; return who holds it."""
        query = select(slots.c.deployment_id).where(slots.c.environment == environment).with_for_update()
        row = self.connection.execute(query).first()
        if row is None:  # the first time that this environment is dispatched to
            self.connection.execute(upsert(slots).values(environment=environment).on_conflict_do_nothing())
            row = self.connection.execute(query).one()
        holder: str | None = row.deployment_id
        return holder

    def holder(self, environment: str) -> str | None:
        """Return who holds the slot, without a lock."""
        holder: str | None = self.connection.execute(
            select(slots.c.deployment_id).where(slots.c.environment == environment)
        ).scalar()
        return holder

    def hold(self, environment: str, deployment_id: str) -> None:
        """Give the (locked) slot to a deployment."""
        statement = update(slots).where(slots.c.environment == environment)
        self.connection.execute(statement.values(deployment_id=deployment_id))

    def release(self, environment: str, deployment_id: str) -> bool:
        """Free the (locked) slot if this deployment holds it; tell whether it is free now."""
        mine = update(slots).where(slots.c.environment == environment)
        freed = func.nullif(slots.c.deployment_id, cast(deployment_id, slots.c.deployment_id.type))
        return self.connection.execute(mine.values(deployment_id=freed).returning(slots.c.deployment_id)).scalar() is None


@dataclass(frozen=True, slots=True)
class SqlDispatches:
    """Protocol: pipeline.stores.Dispatches."""

    connection: Connection

    def intend(self, dispatches: Sequence[Dispatch]) -> None:
        """Write down the intent to start."""
        names = ("id", "deployment_id", "environment", "target", "position")
        rows = [{name: getattr(d, name) for name in names} | {"progress": Progress.UNKNOWN} for d in dispatches]
        if rows:
            self.connection.execute(insert(table), rows)

    def of(self, deployment_id: str) -> list[DispatchRow]:
        """List them in the order of the environment's targets (their ids are time-ordered)."""
        query = select(table).where(table.c.deployment_id == deployment_id).order_by(table.c.id)
        return [
            DispatchRow(_dispatch_from(row), Progress(row.progress), row.detail, row.reported_at)
            for row in self.connection.execute(query)
        ]

    def claim(self, dispatch_id: str, holder: str, seconds: float) -> Dispatch | None:
        """Take the lease if nobody's is running and the target has not answered: one more attempt, a higher fence."""
        free = or_(table.c.lease_until.is_(None), table.c.lease_until < func.clock_timestamp())
        statement = update(table).where(table.c.id == dispatch_id, free, table.c.progress == Progress.UNKNOWN)
        statement = statement.values(
            fence=table.c.fence + 1,
            attempts=table.c.attempts + 1,
            holder=holder,
            lease_until=func.clock_timestamp() + timedelta(seconds=seconds),
        )
        row = self.connection.execute(statement.returning(table)).first()
        return _dispatch_from(row) if row else None

    def renew(self, dispatch: Dispatch, seconds: float) -> bool:
        """Extend the lease; False if it was lost to a higher fence."""
        mine = update(table).where(table.c.id == dispatch.id, table.c.fence == dispatch.fence)
        mine = mine.values(lease_until=func.clock_timestamp() + timedelta(seconds=seconds))
        return self.connection.execute(mine.returning(table.c.id)).first() is not None

    def report(self, dispatch: Dispatch, progress: Progress, detail: str, token_id: str | None) -> bool:
        """Keep what the target said and end the lease; False if the lease was lost."""
        mine = update(table).where(table.c.id == dispatch.id, table.c.fence == dispatch.fence)
        mine = mine.values(
            progress=progress,
            detail=detail[:DETAIL_CHARACTERS],
            token_id=func.coalesce(token_id, table.c.token_id),
            lease_until=None,
            reported_at=func.clock_timestamp(),
        )
        return self.connection.execute(mine.returning(table.c.id)).first() is not None

    def observe(self, dispatch_id: str, progress: Progress, detail: str) -> None:
        """Keep what a poll said."""
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
