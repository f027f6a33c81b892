"""The port to sessions: a room of a `Unit` (`unit.py`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

from app.domain.session import ActingSession, Session, StoredSession


class Sessions(Protocol):
    """Sessions of people, and of browsers that are about to sign in. An ended session is never found."""

    def find(self, digest: str, now: datetime) -> StoredSession | None:
        """Return the live session whose cookie has this digest."""
        ...

    def newest(self, subject: str, now: datetime, issuers: Mapping[str, str]) -> Session | None:
        """Return this principal's newest live session with one of these issuers (URLs by name)."""
        ...

    def of(self, subject: str, now: datetime) -> list[StoredSession]:
        """List the live sessions of a principal, newest first."""
        ...

    def live(self, now: datetime, limit: int, *, subject: str | None = None) -> list[Session]:
        """List live sign-ins, newest first, of this principal or of all."""
        ...

    def add(self, session: StoredSession) -> None:
        """Store a new session."""
        ...

    def keep(self, session_id: str, data: Mapping[str, Any]) -> None:
        """Store the data of a session; one that has ended meanwhile does not come back."""
        ...

    def take(self, session_id: str, name: str) -> bool:
        """Remove one name from the data of a session; False if it is not there."""
        ...

    def touch(self, session_id: str, now: datetime, ends_at: datetime) -> None:
        """Note that a session is in use."""
        ...

    def end(self, session_ids: Collection[str], *, of: str | None = None) -> list[StoredSession]:
        """Delete sessions (with `of` only those of this principal); return them."""
        ...

    def expire(self, now: datetime) -> int:
        """Delete ended sessions; return how many."""
        ...

    def bind(self, deployment_id: str, session: Session) -> None:
        """Keep the session in which a person asked for this deployment."""
        ...

    def acting(self, deployment_id: str) -> ActingSession | None:
        """Return the session in which a person asked for this deployment; None if none was kept."""
        ...

    def revoke(self, subject: str, at: datetime, session_ids: Collection[str] | None = None) -> int:
        """Take the trust from what this principal asked for in these sessions, or in all; return how much that was."""
        ...
