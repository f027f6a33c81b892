"""Insert a group of deliveries with their audit entries: one statement, one commit, whatever their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select, tuple_

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, Receipt
from app.store.audit import as_json
from app.store.engine import one_by_one
from app.store.schema.line import deliveries as table

# A short, constant text for any number of rows: with parameters for each row, parsing the text was a fifth of the
# receiver's time (docs/performance.md). The bodies go beside the JSON, as the bytes that they are (%b: psycopg's binary
# format; written as text, they took longer than all the rest of a delivery's way to the database).
_INSERT = """
    WITH came AS (
        SELECT * FROM ROWS FROM (
            json_to_recordset(CAST(%(rows)s AS json)) AS (
                id uuid, forge text, forge_delivery_id text, event_header text, event jsonb, reason text, state text,
                received_at timestamptz, entry_id uuid, action text, actor text, correlation_id uuid, detail jsonb
            ),
            unnest(CAST(%(bodies)b AS bytea[]))
        ) AS came (
            id, forge, forge_delivery_id, event_header, event, reason, state,
            received_at, entry_id, action, actor, correlation_id, detail, body
        )
    ),
    kept AS (
        INSERT INTO deliveries (id, forge, forge_delivery_id, event_header, event, reason, body, state, received_at, due_at)
        SELECT id, forge, forge_delivery_id, event_header, event, reason, body, state, received_at, received_at FROM came
        ON CONFLICT DO NOTHING RETURNING id
    ),
    audited AS (
        INSERT INTO audit_entries (id, at, action, actor, delivery_id, correlation_id, detail)
        SELECT entry_id, received_at, action, actor, id, correlation_id, detail FROM came JOIN kept USING (id)
    )
    SELECT CAST(id AS text) FROM kept
"""


def insert_deliveries(
    engine: Engine, deliveries: Sequence[Delivery], entry_for: Callable[[Delivery], AuditEntry]
) -> list[Receipt]:
    """Commit each delivery once per (forge, delivery id), with its audit entry; return what became of each.

    Raises StoreUnavailable: then it is not known whether they are kept, and doing it again is safe.
    """
    rows = [_row(each, entry_for(each)) for each in deliveries]
    with one_by_one(engine) as connection:  # the one statement is a transaction by itself
        given = {"rows": as_json(rows), "bodies": [d.body for d in deliveries]}
        kept = set(connection.exec_driver_sql(_INSERT, given).scalars())
        known = _known(connection, [d for d in deliveries if d.id not in kept])
    return [_receipt(d, d.id in kept, known.get((d.forge, d.forge_delivery_id))) for d in deliveries]


def _row(delivery: Delivery, entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "forge": delivery.forge,
        "forge_delivery_id": delivery.forge_delivery_id,
        "event_header": delivery.event_header,
        "event": delivery.event,
        "reason": delivery.reason,
        "state": delivery.state,
        "received_at": delivery.received_at,
        "entry_id": entry.id,
        "action": entry.action,
        "actor": entry.actor,
        "correlation_id": entry.correlation_id,
        "detail": entry.detail,
    }


def _known(connection: Connection, deliveries: Sequence[Delivery]) -> dict[tuple[str, str], Any]:
    """Look up what was there before: who was refused a row has waited for the commit of the one in its way."""
    if not deliveries:
        return {}
    keys = [(d.forge, d.forge_delivery_id) for d in deliveries]
    query = select(table.c.forge, table.c.forge_delivery_id, table.c.id, table.c.reason)
    rows = connection.execute(query.where(tuple_(table.c.forge, table.c.forge_delivery_id).in_(keys)))
    return {(row.forge, row.forge_delivery_id): row for row in rows}


def _receipt(delivery: Delivery, is_kept: bool, known: Any) -> Receipt:
    if is_kept:
        return Receipt(delivery.id, is_duplicate=False, reason=delivery.reason)
    return Receipt(known.id, is_duplicate=True, reason=known.reason)
