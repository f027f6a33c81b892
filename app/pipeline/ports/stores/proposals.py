"""What the steps ask of proposals, inside a unit. Part of `line.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from app.domain.proposal import Proposal


class Proposals(Protocol):
    """Proposals, those that came to an end or ran out too."""

    def add(self, proposal: Proposal) -> None:
        """Keep a proposal."""
        ...

    def get(self, proposal_id: str) -> Proposal | None:
        """Return it without a lock."""
        ...

    def lock(self, proposal_id: str) -> Proposal | None:
        """Lock it and return it as it is now."""
        ...

    def update(self, proposal: Proposal) -> None:
        """Write down what became of the (locked) one."""
        ...

    def waiting_of(self, proposer: str, now: datetime) -> int:
        """Count those of somebody that wait to be decided or applied; who counts for the same one waits till the unit ends."""
        ...

    def newest(self, limit: int, *, open_at: datetime | None = None) -> list[Proposal]:
        """List the newest first; only those that can still come to something at that time, where asked."""
        ...

    def named(self, name: str) -> list[Proposal]:
        """List at most two whose id is this one, or ends or begins so."""
        ...

    def apply_alone(self) -> None:
        """Let nobody else apply a proposal until the unit ends."""
        ...
