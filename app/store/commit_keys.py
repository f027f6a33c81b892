"""Public keys that are linked to principals. A revoked key stays known: its signatures are bad, not unknown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.signature import CommitKey, KeyKind
from app.store.schema.access import commit_keys as table


@dataclass(frozen=True, slots=True)
class SqlCommitKeys:
    """The table of commit keys (protocol: `pipeline.ports.stores.access.CommitKeys`)."""

    connection: Connection

    def add(self, key: CommitKey, by: str, at: datetime) -> bool:
        """Store a key; False if a key with this fingerprint is known, even a revoked one."""
        row = {
            "id": key.id,
            "subject": key.subject,
            "kind": key.kind.value,
            "fingerprint": key.fingerprint,
            "public": key.public,
            "added_at": at,
            "added_by": by,
        }
        statement = insert(table).values(row).on_conflict_do_nothing().returning(table.c.id)
        return self.connection.execute(statement).first() is not None

    def all(self, subject: str | None = None) -> list[CommitKey]:
        """List all keys, or those of one principal, oldest first."""
        query = select(table).order_by(table.c.added_at, table.c.id)
        return self._keys(query if subject is None else query.where(table.c.subject == subject))

    def revoke(self, fingerprint: str, by: str, at: datetime) -> CommitKey | None:
        """Revoke a key; return it, or None if no valid key has this fingerprint."""
        is_valid = (table.c.fingerprint == fingerprint, table.c.revoked_at.is_(None))
        statement = update(table).where(*is_valid).values(revoked_at=at, revoked_by=by).returning(table)
        return next(iter(self._keys(statement)), None)

    def _keys(self, statement: Any) -> list[CommitKey]:
        return [_key(row) for row in self.connection.execute(statement)]


def _key(row: Any) -> CommitKey:
    return CommitKey(row.id, row.subject, KeyKind(row.kind), row.public, row.fingerprint, row.revoked_at is not None)
