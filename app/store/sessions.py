"""Stored sessions. A row lives until `ends_at`: then it is no longer found, and `expire` deletes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.session import ActingSession, Session, StoredSession
from app.store.schema.access import sessions
from app.store.schema.approvals import deployment_sessions


@dataclass(frozen=True, slots=True)
class SqlSessions:
    """The table of sessions (protocol: `pipeline.ports.stores.sessions.Sessions`)."""

    connection: Connection

    def find(self, digest: str, now: datetime) -> StoredSession | None:
        """Return the live session whose cookie has this digest."""
        query = select(sessions).where(sessions.c.digest == digest, sessions.c.ends_at > now)
        row = self.connection.execute(query).one_or_none()
        return _session_from(row) if row is not None else None

    def newest(self, subject: str, now: datetime, issuers: Mapping[str, str]) -> Session | None:
        """Return this principal's newest live session with one of these issuers (URLs by name)."""
        return next((s.facts for s in self.of(subject, now) if s.facts is not None and s.facts.counts(issuers)), None)

    def of(self, subject: str, now: datetime) -> list[StoredSession]:
        """List the live sessions of a principal, newest first."""
        query = select(sessions).where(sessions.c.subject == subject, sessions.c.ends_at > now)
        query = query.order_by(sessions.c.signed_in_at.desc(), sessions.c.id)
        return [_session_from(row) for row in self.connection.execute(query)]

    def live(self, now: datetime, limit: int, *, subject: str | None = None) -> list[Session]:
        """List live sign-ins, newest first, of this principal or of all."""
        query = select(sessions).where(sessions.c.subject.is_not(None), sessions.c.ends_at > now).limit(limit)
        query = query.where(sessions.c.subject == subject) if subject is not None else query
        return [_facts(row) for row in self.connection.execute(query.order_by(sessions.c.signed_in_at.desc(), sessions.c.id))]

    def add(self, session: StoredSession) -> None:
        """Store a new session."""
        self.connection.execute(insert(sessions).values(_row(session)))

    def keep(self, session_id: str, data: Mapping[str, Any]) -> None:
        """Store a session's data. A session that has ended meanwhile does not come back."""
        self.connection.execute(update(sessions).where(sessions.c.id == session_id).values(data=dict(data)))

    def take(self, session_id: str, name: str) -> bool:
        """Remove one item from a session's data; False if it is not there, or no longer there."""
        is_there = sessions.c.data.has_key(name)
        statement = update(sessions).where(sessions.c.id == session_id, is_there)
        return self.connection.execute(statement.values(data=sessions.c.data.delete_path([name]))).rowcount == 1

    def touch(self, session_id: str, now: datetime, ends_at: datetime) -> None:
        """Note that a session is in use."""
        self.connection.execute(update(sessions).where(sessions.c.id == session_id).values(seen_at=now, ends_at=ends_at))

    def end(self, session_ids: Collection[str], *, of: str | None = None) -> list[StoredSession]:
        """Delete sessions (with `of`, only those of this principal); return them."""
        fits = [sessions.c.id.in_(list(session_ids))] + ([] if of is None else [sessions.c.subject == of])
        return [_session_from(row) for row in self.connection.execute(delete(sessions).where(*fits).returning(sessions))]

    def expire(self, now: datetime) -> int:
        """Delete sessions that have ended; return their number."""
        return self.connection.execute(delete(sessions).where(sessions.c.ends_at <= now)).rowcount

    def bind(self, deployment_id: str, session: Session) -> None:
        """Keep the session in which a person asked for this deployment. Only its facts are kept, never its cookie."""
        times = {"signed_in_at": session.signed_in_at.isoformat(), "mfa_at": session.mfa_at and session.mfa_at.isoformat()}
        row = {"deployment_id": deployment_id, "session_id": session.id, "subject": session.subject}
        self.connection.execute(insert(deployment_sessions).values(row | {"facts": asdict(session) | times}))

    def acting(self, deployment_id: str) -> ActingSession | None:
        """Return the session in which a person asked for this deployment; None if none was kept."""
        query = select(deployment_sessions).where(deployment_sessions.c.deployment_id == deployment_id)
        row = self.connection.execute(query).one_or_none()
        return ActingSession(_facts_from(row.facts), row.revoked_at) if row is not None else None

    def revoke(self, subject: str, at: datetime, session_ids: Collection[str] | None = None) -> int:
        """Take the trust from what this principal asked for in these sessions, or in all; return how much that was."""
        own = deployment_sessions.c
        fits = [own.subject == subject, own.revoked_at.is_(None)]
        fits += [own.session_id.in_(list(session_ids))] if session_ids is not None else []
        return self.connection.execute(update(deployment_sessions).where(*fits).values(revoked_at=at)).rowcount


def _facts_from(kept: Mapping[str, Any]) -> Session:
    times = {name: datetime.fromisoformat(kept[name]) if kept[name] else None for name in ("signed_in_at", "mfa_at")}
    return Session(**{**kept, **times, "amr": tuple(kept["amr"])})


def _session_from(row: Any) -> StoredSession:
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
