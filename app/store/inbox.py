"""Write deliveries down before they are answered: requests that come together share one commit (group commit).

The first thread that finds nobody flushing takes the lead and commits all rows that wait; those that arrive meanwhile
wait for the next leader. Each caller returns only after the commit that holds its row (invariant 1).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine, insert, select, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert

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
            statement = upsert(table).on_conflict_do_nothing().returning(table.c.id)
            new = set(connection.execute(statement, [_as_row(d) for d in deliveries]).scalars())
            entries = [as_row(self._entry_for(d)) for d in deliveries if d.id in new]
            if entries:
                connection.execute(insert(audit_entries), entries)
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
