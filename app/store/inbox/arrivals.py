"""Insert a group of deliveries of any size, with their audit entries: one statement, one commit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select, tuple_

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, Receipt
from app.store.audit import as_json
from app.store.engine import one_by_one
from app.store.schema.line import deliveries as table

# A short, constant text for any number of rows. With parameters for each row, parsing the text took a fifth of the
# receiver's time (docs/performance.md). The bodies go beside the JSON as raw bytes (%b: psycopg's binary format). As text,
# they took longer than all the rest of a delivery's way to the database.
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
    """Commit each delivery once per (forge, delivery id), with its audit entry; return a receipt for each.

    If it raises StoreUnavailable, it is not known whether they are stored, and doing it again is safe.
    """
    rows = [_row(delivery, entry_for(delivery)) for delivery in deliveries]
    with one_by_one(engine) as connection:  # the one statement is a transaction by itself
        parameters = {"rows": as_json(rows), "bodies": [d.body for d in deliveries]}
        new_ids = set(connection.exec_driver_sql(_INSERT, parameters).scalars())
        known = _known_rows(connection, [d for d in deliveries if d.id not in new_ids])
    return [_receipt(d, d.id in new_ids, known.get((d.forge, d.forge_delivery_id))) for d in deliveries]


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


def _known_rows(connection: Connection, deliveries: Sequence[Delivery]) -> dict[tuple[str, str], Any]:
    """Return the rows that were there before. The refused insert has waited for their commit, so they are visible."""
    if not deliveries:
        return {}
    keys = [(d.forge, d.forge_delivery_id) for d in deliveries]
    query = select(table.c.forge, table.c.forge_delivery_id, table.c.id, table.c.reason)
    rows = connection.execute(query.where(tuple_(table.c.forge, table.c.forge_delivery_id).in_(keys)))
    return {(row.forge, row.forge_delivery_id): row for row in rows}


def _receipt(delivery: Delivery, is_new: bool, known: Any) -> Receipt:
    if is_new:
        return Receipt(delivery.id, is_duplicate=False, reason=delivery.reason)
    return Receipt(known.id, is_duplicate=True, reason=known.reason)
