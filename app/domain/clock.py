"""Time and ids are handed in, never read: tests control them, and a step uses one `now`."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """The wall clock."""

    def now(self) -> datetime:
        """Return the time, in UTC with its zone set."""
        ...


class Ids(Protocol):
    """A source of identifiers."""

    def new(self) -> str:
        """Return a time-ordered UUID (version 7, RFC 9562) as text."""
        ...
