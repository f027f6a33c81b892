"""Options of commands that ask policies: a time in an environment's zone, other policies, how long ago."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from app.domain.errors import BadRequest
from app.domain.local_time import time_zone
from app.pipeline.ports.services import Guard

AT = Annotated[
    str | None, typer.Option(help='"2026-12-24 18:00", in the time zone of the environment, or with an offset; by default, now.')
]
POLICIES = Annotated[Path | None, typer.Option(help="A folder of policies to use instead of those in force.")]

_AGO = re.compile(r"\A(\d{1,6})([smhdw])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def moment(text: str | None, zone: str) -> datetime | None:
    """Read a time, in `zone` if it names none; raises BadRequest."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f'{text[:40]!r} is not a time, such as "2026-12-24 18:00"') from None
    return time if time.tzinfo is not None else time.replace(tzinfo=time_zone(zone))


def ago(text: str | None) -> timedelta | None:
    """Read how long ago something was: 90d, 12h, 5m; raises BadRequest."""
    if text is None:
        return None
    match = _AGO.match(text.strip().lower())
    if match is None:
        raise BadRequest(f"{text[:40]!r} is not a length, such as 90d, 12h or 5m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def zone_of(guard: Guard, environment: str | None) -> str:
    """Return the time zone of an environment; UTC if there is no environment of this name."""
    known = guard.environment(environment) if environment is not None else None
    return known.time_zone if known is not None else "UTC"
