"""Sessions at rest. A row lives until `ends_at`; what ended is not found any more, and `expire` deletes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.session import Session, StoredSession
from app.store.schema.access import sessions


@dataclass(frozen=True, slots=True)
class SqlSessions:
    """Protocol: pipeline.session_stores.Sessions."""

    connection: Connection

    def find(self, digest: str, now: datetime) -> StoredSession | None:
        """Return the live session whose cookie has this digest."""
        live = select(sessions).where(sessions.c.digest == digest, sessions.c.ends_at > now)
        row = self.connection.execute(live).one_or_none()
        return _stored(row) if row is not None else None

    def newest(self, subject: str, now: datetime, issuers: Mapping[str, str]) -> Session | None:
        """Return the live session that this principal began last with one of these issuers (URLs by name)."""
        return next((s.facts for s in self.of(subject, now) if s.facts is not None and s.facts.counts(issuers)), None)

    def of(self, subject: str, now: datetime) -> list[StoredSession]:
        """List the live sessions of a principal, newest first."""
        live = select(sessions).where(sessions.c.subject == subject, sessions.c.ends_at > now)
        return [_stored(row) for row in self.connection.execute(live.order_by(sessions.c.signed_in_at.desc(), sessions.c.id))]

    def add(self, session: StoredSession) -> None:
        """Begin a session."""
        self.connection.execute(insert(sessions).values(_row(session)))

    def keep(self, session_id: str, data: Mapping[str, Any]) -> None:
        """Keep what a session holds; one that has ended meanwhile does not come back."""
        self.connection.execute(update(sessions).where(sessions.c.id == session_id).values(data=dict(data)))

    def take(self, session_id: str, name: str) -> bool:
        """Take one thing out of what a session holds; False where it is not in there (any more)."""
        held = sessions.c.data.has_key(name)
        taken = update(sessions).where(sessions.c.id == session_id, held).values(data=sessions.c.data.delete_path([name]))
        return self.connection.execute(taken).rowcount == 1

    def touch(self, session_id: str, now: datetime, ends_at: datetime) -> None:
        """Note that a session is in use."""
        self.connection.execute(update(sessions).where(sessions.c.id == session_id).values(seen_at=now, ends_at=ends_at))

    def end(self, session_ids: Collection[str], *, of: str | None = None) -> list[StoredSession]:
        """Delete sessions (where `of` is given, only those of this principal); return them."""
        mine = [sessions.c.id.in_(list(session_ids))] + ([] if of is None else [sessions.c.subject == of])
        return [_stored(row) for row in self.connection.execute(delete(sessions).where(*mine).returning(sessions))]

    def expire(self, now: datetime) -> int:
        """Delete what has ended; return how many."""
        return self.connection.execute(delete(sessions).where(sessions.c.ends_at <= now)).rowcount


def _stored(row: Any) -> StoredSession:
    return StoredSession(
        id=row.id,
        digest=row.digest,
        data=row.data,
        created_at=row.created_at,
        seen_at=row.seen_at,
        ends_at=row.ends_at,
        facts=_facts(row) if row.subject is not None else None,
    )


def _facts(row: Any) -> Session:
    return Session(
        id=row.id,
        subject=row.subject,
        issuer=row.issuer,
        signed_in_at=row.signed_in_at,
        mfa_at=row.mfa_at,
        acr=row.acr,
        amr=tuple(row.amr),
        address=row.address,
        country=row.country,
        issuer_url=row.issuer_url,
    )


def _row(session: StoredSession) -> dict[str, object]:
    row: dict[str, object] = {
        "id": session.id,
        "digest": session.digest,
        "data": dict(session.data),
        "created_at": session.created_at,
        "seen_at": session.seen_at,
        "ends_at": session.ends_at,
    }
    facts = session.facts
    if facts is None:
        return row
    return row | {
        "subject": facts.subject,
        "issuer": facts.issuer,
        "signed_in_at": facts.signed_in_at,
        "acr": facts.acr,
        "amr": list(facts.amr),
        "mfa_at": facts.mfa_at,
        "address": facts.address,
        "country": facts.country,
        "issuer_url": facts.issuer_url,
    }
