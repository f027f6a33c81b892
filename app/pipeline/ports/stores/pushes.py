"""What the steps ask of the database about pushes that were decided before they were taken."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.domain.push import CheckedPush


class Pushes(Protocol):
    """Pushes that were let through, inside a unit."""

    def keep(self, pushes: Sequence[CheckedPush]) -> None:
        """Keep what was let through; the first decision about a commit of a ref stays."""
        ...

    def is_checked(self, forge: str, repository_id: int, *, ref: str, sha: str) -> bool:
        """Tell whether this ref was ever allowed to be set to this commit by a push; one statement."""
        ...
