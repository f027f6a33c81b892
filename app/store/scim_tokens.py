"""The bearer tokens of SCIM clients, by their SHA-256 only. Made and checked in `pipeline/people/scim_token.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Text, insert, or_, select, update

from app.domain.errors import NotFound
from app.domain.scim import USE_NOTED_EVERY, ScimToken
from app.store.schema.access import scim_tokens


@dataclass(frozen=True, slots=True)
class SqlScimTokens:
    """The table of SCIM tokens (protocol: `pipeline.ports.stores.scim.ScimTokens`)."""

    connection: Connection

    def add(self, token: ScimToken, digest: str) -> None:
        """Store a new token. A client may have several: the old one is revoked once the client uses the new one."""
        row = {"id": token.id, "source": token.source, "client": token.client, "digest": digest}
        origin = {"created_at": token.created_at, "created_by": token.created_by}
        self.connection.execute(insert(scim_tokens).values(row | origin))

    def valid(self, digest: str) -> ScimToken | None:
        """Return the token of this digest; None if there is none, or if it is revoked."""
        query = select(scim_tokens).where(scim_tokens.c.digest == digest, scim_tokens.c.revoked_at.is_(None))
        row = self.connection.execute(query).first()
        return _token(row) if row else None

    def note_use(self, token: ScimToken, now: datetime) -> bool:
        """Note that the token was used; False if that was noted less than a minute ago."""
        is_due = or_(scim_tokens.c.last_used_at.is_(None), scim_tokens.c.last_used_at <= now - USE_NOTED_EVERY)
        statement = update(scim_tokens).where(scim_tokens.c.id == token.id, is_due).values(last_used_at=now)
        return self.connection.execute(statement).rowcount == 1

    def all(self) -> list[ScimToken]:
        """List all tokens ever made, oldest first."""
        return [_token(row) for row in self.connection.execute(select(scim_tokens).order_by(scim_tokens.c.created_at))]

    def revoke(self, identifier: str, now: datetime) -> ScimToken | None:
        """Revoke a token by its id or the end of it; None if it was already revoked. Raises NotFound unless exactly one fits."""
        fits = scim_tokens.c.id.cast(Text).endswith(identifier, autoescape=True)
        rows = self.connection.execute(select(scim_tokens).where(fits).with_for_update()).all()
        if len(rows) != 1:
            raise NotFound(f"{'no' if not rows else 'more than one'} token has an id that ends with {identifier!r}")
        if rows[0].revoked_at is not None:
            return None
        statement = update(scim_tokens).where(scim_tokens.c.id == rows[0].id).values(revoked_at=now).returning(scim_tokens)
        return _token(self.connection.execute(statement).one())


def _token(row: Row[Any]) -> ScimToken:
    return ScimToken(row.id, row.source, row.client, row.created_at, row.created_by, row.last_used_at, row.revoked_at)
