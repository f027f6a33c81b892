"""Freezes: windows in which policies may forbid what they allow at other times. How they recur: `pipeline/freeze/recurrence.py`.

A window is in the local time of its time zone, so that 17:00 stays 17:00 over daylight saving. The local clock may show a time
twice or never. Then a window begins with the earlier reading and ends with the later one: it is never shorter than meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.local_time import earliest, latest, time_zone


@dataclass(frozen=True, slots=True)
class Window:
    """The time from one instant until another. The end is not in it."""

    begins_at: datetime
    ends_at: datetime

    def holds(self, now: datetime) -> bool:
        """Tell whether an instant lies in the window."""
        return self.begins_at <= now < self.ends_at


@dataclass(frozen=True, slots=True)
class Freeze:
    """A window, or many by an RRULE (RFC 5545, 3.3.10), of one environment; of all environments if `environment` is None.

    `starts_at` is the first start, from which the rule counts. `until` is the last start (None: the freeze recurs for ever).
    These two and `lasts` are in the local time of `time_zone`, and do not carry a zone of their own.
    """

    id: str
    name: str
    environment: str | None
    reason: str
    time_zone: str
    starts_at: datetime
    lasts: timedelta
    rule: str | None
    until: datetime | None
    added_by: str
    added_at: datetime
    ended_by: str | None = None
    ended_at: datetime | None = None

    def window(self, start: datetime) -> Window:
        """Return the window that starts at this local time; raises BadRequest (unknown time zone)."""
        zone = time_zone(self.time_zone)
        return Window(earliest(start, zone), latest(start + self.lasts, zone))
