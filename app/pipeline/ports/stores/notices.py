"""What the steps ask of the outbox, inside a unit: one row for each notice and sink. Part of `line.py`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.domain.notice import Notice, StoredNotice


class Outbox(Protocol):
    """Notices on their way to sinks."""

    def add(self, notice: Notice, sinks: Sequence[str], due_at: datetime) -> None:
        """Keep a notice, once for each of these sinks."""
        ...

    def due(self, now: datetime) -> list[str]:
        """List the sinks for which something is due and nothing is under way."""
        ...

    def claim(self, sink: str, now: datetime, until: datetime) -> StoredNotice | None:
        """Take what is due for this sink, what was tried least first, and let nobody else have it until then."""
        ...

    def tries(self, sink: str) -> int:
        """Count all tries of what this sink has not been told yet: how long it has been away."""
        ...

    def sent(self, claimed: StoredNotice, now: datetime) -> None:
        """Note that the sink took it."""
        ...

    def postpone(self, claimed: StoredNotice, due_at: datetime, fault: str) -> None:
        """Give it back, and try nothing of this sink before `due_at`."""
        ...

    def give_up(self, claimed: StoredNotice, now: datetime, fault: str) -> bool:
        """Try it no more; False where it has ended already, or somebody else has it now."""
        ...

    def newest(self, limit: int, *, undelivered: bool = False) -> list[StoredNotice]:
        """List the newest first, only those that no sink took where asked."""
        ...

    def expire(self, before: datetime) -> int:
        """Delete what ended before then; return how many."""
        ...
