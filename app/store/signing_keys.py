"""Signing keys: public halves in clear, private halves sealed, both endorsed by the caller; the database cannot endorse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, text, update

from app.domain.audit import AuditEntry
from app.store.audit import SqlAudit
from app.store.engine import transaction
from app.store.schema.line import signing_keys


@dataclass(frozen=True, slots=True)
class StoredSigningKey:
    """A stored signing key. `endorsement` is empty if no process has vouched for it yet."""

    kid: str
    public_jwk: dict[str, Any]
    sealed: str
    created_at: datetime
    endorsement: str = ""


Written = tuple[StoredSigningKey, AuditEntry]


@dataclass(frozen=True, slots=True)
class SqlSigningKeys:
    """The table of signing keys."""

    engine: Engine

    def all(self) -> list[StoredSigningKey]:
        """List the rows as they stand there, newest first. A row proves nothing by itself."""
        with transaction(self.engine) as connection:
            return _rows(connection)

    def settle(
        self,
        create: Callable[[], Written],
        adopt: Callable[[StoredSigningKey], Written | None],
        is_genuine: Callable[[StoredSigningKey], bool],
    ) -> list[StoredSigningKey]:
        """List the rows, newest first. The first call ever makes a key, under a lock, so that there is only one.

        `adopt` is asked about each row that is not genuine. It returns the row with an endorsement, or None.
        """
        with transaction(self.engine) as connection:
            rows = _rows(connection)
            if rows and all(map(is_genuine, rows)):
                return rows
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('tidegate signing key'))"))
            rows = _rows(connection)
            if not rows:
                _insert(connection, create())
            for row in rows:
                if not is_genuine(row) and (adopted := adopt(row)) is not None:
                    _endorse(connection, adopted)
            return _rows(connection)


def _rows(connection: Connection) -> list[StoredSigningKey]:
    found = connection.execute(select(signing_keys).order_by(signing_keys.c.created_at.desc(), signing_keys.c.kid))
    return [StoredSigningKey(row.kid, row.public_jwk, row.sealed, row.created_at, row.endorsement) for row in found]


def _insert(connection: Connection, written: Written) -> None:
    key, entry = written
    values = {"kid": key.kid, "public_jwk": key.public_jwk, "sealed": key.sealed, "created_at": key.created_at}
    connection.execute(insert(signing_keys).values({**values, "endorsement": key.endorsement}))
    SqlAudit(connection).append([entry])


def _endorse(connection: Connection, written: Written) -> None:
    key, entry = written
    statement = update(signing_keys).where(signing_keys.c.kid == key.kid)
    connection.execute(statement.values(endorsement=key.endorsement))
    SqlAudit(connection).append([entry])
