"""Write deliveries down before they are answered: requests that come together share one commit (group commit).

The first thread that finds nobody flushing takes the lead and commits all rows that wait; those that arrive meanwhile
wait for the next leader. Each caller returns only after the commit that holds its row (invariant 1).
"""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, Table, TextClause, select, text, tuple_

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, Receipt
from app.domain.errors import StoreUnavailable
from app.store.audit import as_row
from app.store.deliveries import event_as_json
from app.store.schema import audit_entries
from app.store.schema import deliveries as table
from app.store.session import transaction

BATCH = 100
PATIENCE_SECONDS = 12.0


def _insert(table: Table, types: Mapping[str, str], end: str = "") -> TextClause:
    """Spell an INSERT that takes all its rows as one JSON list: a short, constant text for any number of rows.

    With parameters for each row, parsing the long text was a fifth of the receiver's time (docs/performance.md).
    """
    names = ", ".join(types)
    values = ", ".join(f"decode({n}, 'base64')" if kind == "bytea" else n for n, kind in types.items())
    shape = ", ".join(f"{n} {'text' if kind == 'bytea' else kind}" for n, kind in types.items())
    rows = f"SELECT {values} FROM json_to_recordset(CAST(:rows AS json)) AS row ({shape})"  # noqa: S608 - names of ours only
    return text(f"INSERT INTO {table.name} ({names}) {rows} {end}")


def _rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    return {"rows": json.dumps(rows, default=_spelled)}


def _spelled(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


_INSERT = _insert(
    table,
    {
        "id": "uuid",
        "forge": "text",
        "forge_delivery_id": "text",
        "event_header": "text",
        "event": "jsonb",
        "reason": "text",
        "body": "bytea",
        "state": "text",
        "received_at": "timestamptz",
        "due_at": "timestamptz",
    },
    "ON CONFLICT DO NOTHING RETURNING CAST(id AS text)",
)
_AUDIT = _insert(
    audit_entries,
    {
        "id": "uuid",
        "at": "timestamptz",
        "action": "text",
        "actor": "text",
        "deployment_id": "uuid",
        "delivery_id": "uuid",
        "correlation_id": "uuid",
        "detail": "jsonb",
    },
)


@dataclass(frozen=True, slots=True)
class _Waiting:
    delivery: Delivery
    receipt: Future[Receipt] = field(default_factory=Future)


class SqlInbox:
    """Protocol: pipeline.stores.Inbox. Thread-safe; one per process."""

    def __init__(self, engine: Engine, entry_for: Callable[[Delivery], AuditEntry]) -> None:
        self._engine = engine
        self._entry_for = entry_for
        self._queue: deque[_Waiting] = deque()
        self._lead = threading.Lock()

    def put(self, delivery: Delivery) -> Receipt:
        """Commit the delivery once per (forge, delivery id), with its audit entry; raise StoreUnavailable."""
        mine = _Waiting(delivery)
        self._queue.append(mine)
        while not mine.receipt.done():
            with self._lead:
                if not mine.receipt.done():
                    self._flush()
        return mine.receipt.result(timeout=PATIENCE_SECONDS)

    def _flush(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
        try:
            receipts = self._store(batch)
        except StoreUnavailable as fault:
            for waiting in batch:
                waiting.receipt.set_exception(StoreUnavailable(str(fault)))
        except Exception as fault:
            self._one_by_one(batch, fault)
        else:
            for waiting, receipt in zip(batch, receipts, strict=True):
                waiting.receipt.set_result(receipt)

    def _one_by_one(self, batch: list[_Waiting], fault: Exception) -> None:
        """Keep one row that the database refuses from taking its neighbours with it."""
        for waiting in batch:
            try:
                if len(batch) == 1:
                    raise fault
                waiting.receipt.set_result(self._store([waiting])[0])
            except Exception as own_fault:  # handed to the caller, whole
                waiting.receipt.set_exception(own_fault)

    def _store(self, batch: list[_Waiting]) -> list[Receipt]:
        deliveries = [w.delivery for w in batch]
        with transaction(self._engine) as connection:
            new = set(connection.execute(_INSERT, _rows([_as_row(d) for d in deliveries])).scalars())
            entries = [as_row(self._entry_for(d)) for d in deliveries if d.id in new]
            if entries:
                connection.execute(_AUDIT, _rows(entries))
            known: dict[tuple[str, str], Any] = {}
            if len(new) < len(deliveries):
                keys = [(d.forge, d.forge_delivery_id) for d in deliveries if d.id not in new]
                query = select(table.c.forge, table.c.forge_delivery_id, table.c.id, table.c.reason)
                rows = connection.execute(query.where(tuple_(table.c.forge, table.c.forge_delivery_id).in_(keys)))
                known = {(row.forge, row.forge_delivery_id): row for row in rows}
        return [_receipt(d, d.id in new, known.get((d.forge, d.forge_delivery_id))) for d in deliveries]


def _receipt(delivery: Delivery, is_new: bool, known: Any) -> Receipt:
    if is_new:
        return Receipt(delivery.id, is_duplicate=False, reason=delivery.reason)
    return Receipt(known.id, is_duplicate=True, reason=known.reason)


def _as_row(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "forge": delivery.forge,
        "forge_delivery_id": delivery.forge_delivery_id,
        "event_header": delivery.event_header,
        "event": event_as_json(delivery.event),
        "reason": delivery.reason,
        "body": delivery.body,
        "state": delivery.state.value,
        "received_at": delivery.received_at,
        "due_at": delivery.received_at,
    }
