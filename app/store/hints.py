"""Hints from identity sources that something changed: stored once by the event's id, until they are followed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.access import Hint, HintKind
from app.store.schema.access import hints as table


@dataclass(frozen=True, slots=True)
class SqlHints:
    """The table of hints (protocol: `pipeline.ports.stores.access.Hints`)."""

    connection: Connection

    def keep(self, source: str, event_id: str, hints: Sequence[Hint], now: datetime) -> bool:
        """Store an event's hints once by its id; False if the event was known."""
        row = {"source": source, "event_id": event_id, "hints": [asdict(hint) for hint in hints], "received_at": now}
        statement = insert(table).values(row).on_conflict_do_nothing().returning(table.c.event_id)
        return self.connection.execute(statement).first() is not None

    def open(self, source: str, limit: int) -> dict[str, list[Hint]]:
        """List the oldest events whose hints were not followed yet, by id."""
        query = select(table).where(table.c.source == source, table.c.done_at.is_(None))
        rows = self.connection.execute(query.order_by(table.c.received_at, table.c.event_id).limit(limit))
        return {row.event_id: [Hint(HintKind(h["kind"]), h["external_id"]) for h in row.hints] for row in rows}

    def sources(self) -> list[str]:
        """List the sources that have events with open hints."""
        query = select(table.c.source).where(table.c.done_at.is_(None)).distinct()
        return sorted(self.connection.execute(query).scalars())

    def close(self, source: str, event_ids: Collection[str], now: datetime) -> None:
        """Note that the hints of these events were followed."""
        mine = (table.c.source == source, table.c.event_id.in_(list(event_ids)))
        self.connection.execute(update(table).where(*mine).values(done_at=now))

    def expire(self, before: datetime) -> int:
        """Delete hints that were followed before this time; return their number."""
        return self.connection.execute(delete(table).where(table.c.done_at < before)).rowcount
