"""The append-only log. This file holds an insert; it will never hold an update or a delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, func, select, text

from app.domain.audit import AuditAction, AuditEntry
from app.store.schema.line import audit_entries

CONFIGURATION_LOCK = 0x7469_6465_0002


# The order of the rows is the order of `seq`.
_APPEND = text("""
INSERT INTO audit_entries (id, at, action, actor, deployment_id, delivery_id, correlation_id, detail)
SELECT id, at, action, actor, deployment_id, delivery_id, correlation_id, detail
FROM ROWS FROM (json_to_recordset(CAST(:rows AS json)) AS (
    id uuid, at timestamptz, action text, actor text, deployment_id uuid, delivery_id uuid, correlation_id uuid, detail jsonb
)) WITH ORDINALITY AS given (id, at, action, actor, deployment_id, delivery_id, correlation_id, detail, number)
ORDER BY number
""")


@dataclass(frozen=True, slots=True)
class SqlAudit:
    """The table of audit entries (protocol: `pipeline.ports.stores.line.Audit`)."""

    connection: Connection

    def append(self, entries: Sequence[AuditEntry]) -> None:
        """Append within the caller's transaction."""
        if entries:
            self.connection.execute(_APPEND, {"rows": as_json([as_row(e) for e in entries])})

    def newest_configuration(self) -> str | None:
        """Return the digest of the newest `config:taken`. The next caller waits until this transaction ends."""
        self.connection.execute(select(func.pg_advisory_xact_lock(CONFIGURATION_LOCK)))
        is_taken = audit_entries.c.action == text(f"'{AuditAction.CONFIG_TAKEN}'")  # spelled as in the partial index
        query = select(audit_entries.c.detail["digest"].astext).where(is_taken)
        return self.connection.execute(query.order_by(audit_entries.c.seq.desc()).limit(1)).scalar_one_or_none()


def as_row(entry: AuditEntry) -> dict[str, Any]:
    """Spell an entry as its row, without `seq`, which the database assigns."""
    return {
        "id": entry.id,
        "at": entry.at,
        "action": entry.action,
        "actor": entry.actor,
        "deployment_id": entry.deployment_id,
        "delivery_id": entry.delivery_id,
        "correlation_id": entry.correlation_id,
        "detail": entry.detail,
    }


def as_json(value: object) -> str:
    """Spell rows, or one detail, as the JSON text that a statement takes as one parameter."""
    return orjson.dumps(value).decode()
