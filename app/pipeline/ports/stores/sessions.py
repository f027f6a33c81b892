"""What the steps ask of sessions, inside a unit. Part of `line.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Protocol

from app.domain.session import Session, StoredSession


class Sessions(Protocol):
    """Sessions of people, and of browsers that are about to sign in. What has ended is never found."""

    def find(self, digest: str, now: datetime) -> StoredSession | None:
        """Return the live session whose cookie has this digest."""
        ...

    def newest(self, subject: str, now: datetime, issuers: Mapping[str, str]) -> Session | None:
        """Return the live session that this principal began last with one of these issuers (URLs by name)."""
        ...

    def of(self, subject: str, now: datetime) -> list[StoredSession]:
        """List the live sessions of a principal, newest first."""
        ...

    def add(self, session: StoredSession) -> None:
        """Begin a session."""
        ...

    def keep(self, session_id: str, data: Mapping[str, Any]) -> None:
        """Keep what a session holds; one that has ended meanwhile does not come back."""
        ...

    def take(self, session_id: str, name: str) -> bool:
        """Take one thing out of what a session holds; False where it is not in there (any more)."""
        ...

    def touch(self, session_id: str, now: datetime, ends_at: datetime) -> None:
        """Note that a session is in use."""
        ...

    def end(self, session_ids: Collection[str], *, of: str | None = None) -> list[StoredSession]:
        """Delete sessions (where `of` is given, only those of this principal); return them."""
        ...

    def expire(self, now: datetime) -> int:
        """Delete what has ended; return how many."""
        ...
