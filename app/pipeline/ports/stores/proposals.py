"""The port to proposals: a room of a `Unit` (`unit.py`)."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from app.domain.proposal import Proposal


class Proposals(Protocol):
    """Proposals, also those that have ended or run out."""

    def add(self, proposal: Proposal) -> None:
        """Store a proposal."""
        ...

    def get(self, proposal_id: str) -> Proposal | None:
        """Return a proposal without a lock."""
        ...

    def lock(self, proposal_id: str) -> Proposal | None:
        """Lock a proposal and return it as it is now."""
        ...

    def update(self, proposal: Proposal) -> None:
        """Store the new state of a (locked) proposal."""
        ...

    def waiting_of(self, proposer: str, now: datetime) -> int:
        """Count a proposer's proposals that wait to be decided or applied; a second count waits until this unit ends."""
        ...

    def newest(self, limit: int, *, open_at: datetime | None = None) -> list[Proposal]:
        """List proposals, newest first; with `open_at` only those that can still be decided or applied at that time."""
        ...

    def named(self, name: str) -> list[Proposal]:
        """List at most two proposals whose id is this text, or begins or ends with it."""
        ...

    def apply_alone(self) -> None:
        """Keep others from applying a proposal until the unit ends."""
        ...
