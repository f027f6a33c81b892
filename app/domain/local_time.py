"""Local time in a time zone of the IANA database, and the instants that a local time may mean."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from app.domain.errors import BadRequest

_NAME = re.compile(r"\A[A-Za-z0-9+_-]{1,32}(?:/[A-Za-z0-9+_-]{1,32}){0,3}\Z")
_NO_PLACES = ("localtime", "posixrules", "Factory")  # another time on each machine
_OTHER_CLOCKS = ("posix/", "right/")  # the same places again; `right/` counts leap seconds


def time_zone(name: str) -> ZoneInfo:
    """Return the time zone of this name; raises BadRequest."""
    try:
        if not _NAME.match(name) or name in _NO_PLACES or name.startswith(_OTHER_CLOCKS):
            raise ValueError
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):  # KeyError: unknown zone; OSError: a folder of zones
        raise BadRequest(
            f"{name[:64]!r} is not a time zone; it is spelled as in the IANA database, such as Europe/Berlin"
        ) from None


def on_the_wall(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the local time at an instant, without a zone."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def earliest(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant that a local time may mean.

    A local time may occur twice, or never since the clock is put forward over it. Then it has two readings: with the offset
    before the change, and with the offset after it (PEP 495).
    """
    return min(_readings(wall, zone))


def latest(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the last instant that a local time may mean."""
    return max(_readings(wall, zone))


def _readings(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    local = wall.replace(tzinfo=zone)
    return local.replace(fold=0).astimezone(UTC), local.replace(fold=1).astimezone(UTC)
