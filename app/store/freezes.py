"""Freezes at rest. An ended one stays known, and what it was never changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, Text, cast, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.freeze import Freeze
from app.store.schema.freezes import freezes as table

SHORTEST_ID = 7  # of an id's end: less of it may be a slip of the hand
_ANY_ZONE = timedelta(days=2)  # from UTC to the wall: 14 hours at most, and 24 by which a clock may be changed


@dataclass(frozen=True, slots=True)
class SqlFreezes:
    """Protocol: pipeline.freeze_stores.Freezes."""

    connection: Connection

    def add(self, freeze: Freeze) -> bool:
        """Keep a freeze; False where one that is not ended has its name."""
        kept = insert(table).values(asdict(freeze)).on_conflict_do_nothing().returning(table.c.id)
        return self.connection.execute(kept).first() is not None

    def find(self, name: str) -> list[Freeze]:
        """Lock and list those that are not ended and have this name, or an id that is or ends so; the named one comes first."""
        is_named, has_id = table.c.name == name, cast(table.c.id, Text).endswith(name.casefold(), autoescape=True)
        meant = or_(is_named, has_id) if len(name) >= SHORTEST_ID else is_named
        query = select(table).where(table.c.ended_at.is_(None), meant).order_by(is_named.desc(), table.c.id)
        return self._freezes(query.with_for_update())

    def end(self, freeze_id: str, by: str, at: datetime) -> Freeze | None:
        """End a freeze; return it, or None where there is none that is not ended."""
        ended = update(table).where(table.c.id == freeze_id, table.c.ended_at.is_(None)).values(ended_by=by, ended_at=at)
        row = self.connection.execute(ended.returning(table)).one_or_none()
        return _freeze(row) if row is not None else None

    def open(self, now: datetime, environment: str | None = None) -> list[Freeze]:
        """List those that are not ended and may be in force now or later (of an environment, with those of all), oldest first."""
        about_now = now.astimezone(UTC).replace(tzinfo=None) - _ANY_ZONE
        is_over = table.c.until + table.c.lasts <= about_now
        return self._freezes(_of(environment).where(table.c.ended_at.is_(None), is_over.is_not(True)))

    def all(self, environment: str | None = None) -> list[Freeze]:
        """List all that there ever were (of an environment, with those of all), oldest first."""
        return self._freezes(_of(environment))

    def _freezes(self, query: Select[Any]) -> list[Freeze]:
        return [_freeze(row) for row in self.connection.execute(query)]


def _of(environment: str | None) -> Select[Any]:
    query = select(table).order_by(table.c.added_at, table.c.id)
    return query if environment is None else query.where(or_(table.c.environment == environment, table.c.environment.is_(None)))


def _freeze(row: Any) -> Freeze:
    return Freeze(**row._mapping)
