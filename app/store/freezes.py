"""Stored freezes. An ended freeze stays known, and its definition never changes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, Text, cast, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.freeze import Freeze
from app.store.schema.freezes import freezes as table

SHORTEST_ID = 7  # characters of an id's end: a shorter one may be a typing error
_ANY_ZONE = timedelta(days=2)  # local time is at most 14 hours from UTC, and a change of the clock may add 24


@dataclass(frozen=True, slots=True)
class SqlFreezes:
    """The table of freezes (protocol: `pipeline.ports.stores.freezes.Freezes`)."""

    connection: Connection

    def add(self, freeze: Freeze) -> bool:
        """Store a freeze; False if another one that is not ended has its name."""
        statement = insert(table).values(asdict(freeze)).on_conflict_do_nothing().returning(table.c.id)
        return self.connection.execute(statement).first() is not None

    def find(self, name: str) -> list[Freeze]:
        """Lock and list freezes that are not ended, by name, or by an id or the end of one. The named one comes first."""
        is_named, has_id = table.c.name == name, cast(table.c.id, Text).endswith(name.casefold(), autoescape=True)
        fits = or_(is_named, has_id) if len(name) >= SHORTEST_ID else is_named
        query = select(table).where(table.c.ended_at.is_(None), fits).order_by(is_named.desc(), table.c.id)
        return self._freezes(query.with_for_update())

    def end(self, freeze_id: str, by: str, at: datetime) -> Freeze | None:
        """End a freeze; return it, or None if it does not exist or has already ended."""
        statement = update(table).where(table.c.id == freeze_id, table.c.ended_at.is_(None)).values(ended_by=by, ended_at=at)
        row = self.connection.execute(statement.returning(table)).one_or_none()
        return _freeze(row) if row is not None else None

    def open(self, now: datetime, environment: str | None = None) -> list[Freeze]:
        """List freezes that are not ended and may be in force now or later, oldest first.

        With `environment`, list those of this environment and of all environments.
        """
        about_now = now.astimezone(UTC).replace(tzinfo=None) - _ANY_ZONE
        is_over = table.c.until + table.c.lasts <= about_now
        return self._freezes(_of(environment).where(table.c.ended_at.is_(None), is_over.is_not(True)))

    def all(self, environment: str | None = None) -> list[Freeze]:
        """List all freezes ever, oldest first; with `environment`, those of this environment and of all environments."""
        return self._freezes(_of(environment))

    def _freezes(self, query: Select[Any]) -> list[Freeze]:
        return [_freeze(row) for row in self.connection.execute(query)]


def _of(environment: str | None) -> Select[Any]:
    query = select(table).order_by(table.c.added_at, table.c.id)
    return query if environment is None else query.where(or_(table.c.environment == environment, table.c.environment.is_(None)))


def _freeze(row: Any) -> Freeze:
    return Freeze(**row._mapping)
