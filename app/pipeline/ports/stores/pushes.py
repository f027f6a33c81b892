"""The port to pushes that were decided before the forge took them: a room of a `Unit` (`unit.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.domain.push import CheckedPush


class Pushes(Protocol):
    """Pushes that the check let through, inside a unit."""

    def keep(self, pushes: Sequence[CheckedPush]) -> None:
        """Store these pushes; the first decision about the same change of a ref by the same account stays."""
        ...

    def of_commits(self, forge: str, repository_id: int, shas: Sequence[str]) -> list[CheckedPush]:
        """List the allowed pushes of these commits, to any ref, in the order of their decisions; one statement."""
        ...

    def released(self, forge: str, repository_id: int, shas: Sequence[str]) -> set[str]:
        """Return those of these commits that were ever released; one statement."""
        ...
