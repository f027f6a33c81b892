"""The port to freezes: a room of a `Unit` (`unit.py`)."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from app.domain.freeze import Freeze


class Freezes(Protocol):
    """Freezes, also those that were ended or ran out: the history stays known."""

    def add(self, freeze: Freeze) -> bool:
        """Store a freeze; False if another with this name is not ended yet."""
        ...

    def find(self, name: str) -> list[Freeze]:
        """Lock and list freezes that are not ended and have this name, or this id or end of it; the named one comes first."""
        ...

    def end(self, freeze_id: str, by: str, at: datetime) -> Freeze | None:
        """End a freeze; return it, or None if there is none or it was ended before."""
        ...

    def open(self, now: datetime, environment: str | None = None) -> list[Freeze]:
        """List freezes that are not ended and may be in force now or later, oldest first.

        With `environment`: those of this environment, and those of all environments.
        """
        ...

    def all(self, environment: str | None = None) -> list[Freeze]:
        """List all freezes ever made, oldest first. `environment` as above."""
        ...
