"""Signing keys: public halves in clear, private halves sealed by the caller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, insert, select, text

from app.store.engine import transaction
from app.store.schema.line import signing_keys


@dataclass(frozen=True, slots=True)
class StoredSigningKey:
    """A stored signing key."""

    kid: str
    public_jwk: dict[str, Any]
    sealed: str


@dataclass(frozen=True, slots=True)
class SqlSigningKeys:
    """The table of signing keys."""

    engine: Engine

    def newest(self, create: Callable[[], StoredSigningKey], now: datetime) -> StoredSigningKey:
        """Return the newest key. The first call ever makes one, under a lock, so that there is only one."""
        with transaction(self.engine) as connection:
            query = select(signing_keys).order_by(signing_keys.c.created_at.desc()).limit(1)
            row = connection.execute(query).first()
            if row is None:
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('tidegate signing key'))"))
                row = connection.execute(query).first()
            if row is not None:
                return StoredSigningKey(row.kid, row.public_jwk, row.sealed)
            key = create()
            values = {"kid": key.kid, "public_jwk": key.public_jwk, "sealed": key.sealed, "created_at": now}
            connection.execute(insert(signing_keys).values(values))
            return key

    def public(self) -> list[dict[str, Any]]:
        """List the public keys, newest first."""
        with transaction(self.engine) as connection:
            query = select(signing_keys.c.public_jwk).order_by(signing_keys.c.created_at.desc())
            return list(connection.execute(query).scalars())
