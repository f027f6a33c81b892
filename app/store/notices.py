"""The outbox. A step writes its notices in its own transaction; the sender claims and sends them row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.notice import Notice, StoredNotice
from app.store.schema.notices import notices as table

_IS_OPEN = table.c.due_at.is_not(None)

_DUE = text("""
SELECT DISTINCT sink FROM notices AS due WHERE due_at <= :now AND NOT EXISTS (
    SELECT FROM notices AS other WHERE other.sink = due.sink AND other.due_at IS NOT NULL AND other.lease_until > :now
)
ORDER BY sink
""")
_NEXT = (
    select(table.c.id, table.c.sink)
    .where(table.c.sink == bindparam("of"), table.c.due_at <= bindparam("now"))
    .where(or_(table.c.lease_until.is_(None), table.c.lease_until <= bindparam("now")))
    .order_by(table.c.tries, table.c.id)
    .limit(1)
    .with_for_update(skip_locked=True)
    .cte("next")
)
_CLAIM = (
    update(table)
    .where(table.c.id == _NEXT.c.id, table.c.sink == _NEXT.c.sink)
    .values(tries=table.c.tries + 1, lease_until=bindparam("until"))
    .returning(table)
)


@dataclass(frozen=True, slots=True)
class SqlOutbox:
    """The table of notices (protocol: `pipeline.ports.stores.notices.Outbox`)."""

    connection: Connection

    def add(self, notice: Notice, sinks: Sequence[str], due_at: datetime) -> None:
        """Store a notice, once for each of these sinks."""
        rows = [_row(notice) | {"sink": sink, "due_at": due_at} for sink in sinks]
        if rows:
            self.connection.execute(insert(table).values(rows).on_conflict_do_nothing())

    def due(self, now: datetime) -> list[str]:
        """List the sinks that have a notice due and no notice under way."""
        return list(self.connection.execute(_DUE, {"now": now}).scalars())

    def claim(self, sink: str, now: datetime, until: datetime) -> StoredNotice | None:
        """Claim a notice that is due for this sink, the least tried first. Other senders skip it until `until`."""
        row = self.connection.execute(_CLAIM, {"of": sink, "now": now, "until": until}).first()
        return _notice_from(row) if row is not None else None

    def tries(self, sink: str) -> int:
        """Count all tries of this sink's open notices."""
        query = select(func.coalesce(func.sum(table.c.tries), 0)).where(table.c.sink == sink, _IS_OPEN)
        return int(self.connection.execute(query).scalar_one())

    def sent(self, claimed: StoredNotice, now: datetime) -> None:
        """Note that the sink accepted a notice. That is true even if another sender has claimed it meanwhile."""
        statement = update(table).where(*_same(claimed), _IS_OPEN)
        self.connection.execute(statement.values(due_at=None, lease_until=None, sent_at=now, fault=None))

    def postpone(self, claimed: StoredNotice, due_at: datetime, fault: str) -> None:
        """Give a notice back, and try nothing for this sink before `due_at`. Rows that others have locked stay as they are."""
        released = update(table).where(*_same(claimed), _IS_OPEN, table.c.tries == claimed.tries)
        self.connection.execute(released.values(lease_until=None, fault=fault))
        earlier = select(table.c.id).where(table.c.sink == claimed.sink, table.c.due_at < due_at)
        ids = earlier.with_for_update(skip_locked=True)
        self.connection.execute(update(table).where(table.c.sink == claimed.sink, table.c.id.in_(ids)).values(due_at=due_at))

    def give_up(self, claimed: StoredNotice, now: datetime, fault: str) -> bool:
        """Stop trying a notice; False if it has already ended, or if another sender has claimed it meanwhile."""
        statement = update(table).where(*_same(claimed), _IS_OPEN, table.c.tries == claimed.tries)
        statement = statement.values(due_at=None, lease_until=None, given_up_at=now, fault=fault)
        return self.connection.execute(statement).rowcount == 1

    def newest(self, limit: int, *, undelivered: bool = False) -> list[StoredNotice]:
        """List notices, newest first; with `undelivered`, only those that were not sent."""
        query = select(table).order_by(table.c.at.desc(), table.c.id.desc(), table.c.sink).limit(limit)
        query = query.where(table.c.sent_at.is_(None)) if undelivered else query
        return [_notice_from(row) for row in self.connection.execute(query)]

    def expire(self, before: datetime) -> int:
        """Delete notices that ended before this time; return their number."""
        ended = func.coalesce(table.c.sent_at, table.c.given_up_at) < before
        return self.connection.execute(delete(table).where(ended)).rowcount


def _same(claimed: StoredNotice) -> tuple[Any, ...]:
    return table.c.id == claimed.notice.id, table.c.sink == claimed.sink


def _row(notice: Notice) -> dict[str, object]:
    return {
        "id": notice.id,
        "at": notice.at,
        "event": notice.event,
        "subject": notice.subject,
        "text": notice.text,
        "detail": notice.detail,
    }


def _notice_from(row: Any) -> StoredNotice:
    return StoredNotice(
        notice=Notice(row.id, row.at, row.event, row.subject, row.text, row.detail),
        sink=row.sink,
        tries=row.tries,
        due_at=row.due_at,
        sent_at=row.sent_at,
        given_up_at=row.given_up_at,
        fault=row.fault,
    )
