"""What the steps ask of freezes, inside a unit. Part of `line.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from app.domain.freeze import Freeze


class Freezes(Protocol):
    """Freezes, those that were ended or ran out too: what was frozen stays known."""

    def add(self, freeze: Freeze) -> bool:
        """Keep a freeze; False where one that is not ended has its name."""
        ...

    def find(self, name: str) -> list[Freeze]:
        """Lock and list those that are not ended and have this name, or an id that is or ends so; the named one comes first."""
        ...

    def end(self, freeze_id: str, by: str, at: datetime) -> Freeze | None:
        """End a freeze; return it, or None where there is none that is not ended."""
        ...

    def open(self, now: datetime, environment: str | None = None) -> list[Freeze]:
        """List those that are not ended and may be in force now or later (of an environment, with those of all), oldest first."""
        ...

    def all(self, environment: str | None = None) -> list[Freeze]:
        """List all that there ever were (of an environment, with those of all), oldest first."""
        ...
