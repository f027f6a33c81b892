"""The port to the outbox, with one row for each notice and sink: a room of a `Unit` (`unit.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.domain.notice import Notice, StoredNotice


class Outbox(Protocol):
    """Notices on their way to sinks."""

    def add(self, notice: Notice, sinks: Sequence[str], due_at: datetime) -> None:
        """Store a notice, once for each of these sinks."""
        ...

    def due(self, now: datetime) -> list[str]:
        """List the sinks that have a due notice and none under way."""
        ...

    def claim(self, sink: str, now: datetime, until: datetime) -> StoredNotice | None:
        """Claim the due notice of this sink that was tried least; no other worker gets it before `until`."""
        ...

    def tries(self, sink: str) -> int:
        """Count all tries of the notices that this sink has not taken yet; they tell how long it has been away."""
        ...

    def sent(self, claimed: StoredNotice, now: datetime) -> None:
        """Note that the sink took the notice."""
        ...

    def postpone(self, claimed: StoredNotice, due_at: datetime, fault: str) -> None:
        """Give the notice back, and try no notice of this sink before `due_at`."""
        ...

    def give_up(self, claimed: StoredNotice, now: datetime, fault: str) -> bool:
        """Give the notice up; False if it has ended already, or another worker has it now."""
        ...

    def newest(self, limit: int, *, undelivered: bool = False) -> list[StoredNotice]:
        """List notices, newest first; with `undelivered` only those that their sink did not take."""
        ...

    def expire(self, before: datetime) -> int:
        """Delete notices that ended before then; return how many."""
        ...
