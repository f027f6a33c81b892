"""A freeze as somebody asks for it, and the freeze that this comes to. Used by `freeze.py`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from app.domain.errors import BadRequest, NotFound
from app.domain.event import Account
from app.domain.freeze import Freeze
from app.domain.local_time import earliest, latest, on_the_wall, time_zone
from app.pipeline.freeze.recurrence import last_start, next_window, window_at
from app.pipeline.freeze.recurrence_rule import parse
from app.pipeline.ports.services import Services

LONGEST_REASON = 500
LONGEST = timedelta(days=3660)
LONGEST_RECURRING = timedelta(days=366)
NO_TIME = timedelta()
NAME = re.compile(r"\A[a-z0-9][a-z0-9-]{0,62}\Z")
_YEARS = range(2000, 2200)


@dataclass(frozen=True, slots=True)
class FreezeDraft:
    """A freeze of one environment or, where that is None, of all.

    Times are ISO 8601, on the wall of `time_zone` (None: the environment's) or with an offset; without `starts` it starts now.
    Either `ends` or `lasts` says when the (first) window ends. `rule` is an RRULE, or a frequency such as "weekly".
    """

    name: str
    environment: str | None
    reason: str
    starts: str | None = None
    ends: str | None = None
    lasts: timedelta | None = None
    rule: str | None = None
    time_zone: str | None = None


def draft_freeze(services: Services, wanted: FreezeDraft, by: Account, now: datetime) -> Freeze:
    """Make the freeze that is wanted; raises NotFound (no such environment) or BadRequest that says what is expected."""
    if not NAME.match(wanted.name):
        raise BadRequest("a freeze's name has 1 to 63 characters: a-z, 0-9 and -, and does not begin with -")
    if not wanted.reason.strip() or not wanted.reason.isprintable() or len(wanted.reason) > LONGEST_REASON:
        raise BadRequest(f"a freeze has a reason: one printable line of at most {LONGEST_REASON} characters")
    zone = time_zone(_zone_name(services, wanted))
    said = _moment(wanted.starts) if wanted.starts is not None else now
    starts_at = _wall(said, zone)
    made = Freeze(
        id=services.ids.new(),
        name=wanted.name,
        environment=wanted.environment,
        reason=wanted.reason.strip(),
        time_zone=zone.key,
        starts_at=starts_at,
        lasts=_length(wanted, said, zone),
        rule=wanted.rule,
        until=starts_at,
        added_by=by.key,
        added_at=now,
    )
    if wanted.rule is not None:
        rule = parse(wanted.rule)
        made = replace(made, until=last_start(rule, starts_at, rule.last_by(zone)))
    if window_at(made, now) is None and next_window(made, now) is None:
        raise BadRequest(f"the freeze is over already; it is {_wall(now, zone)} in {zone.key}")
    return made


def _zone_name(services: Services, wanted: FreezeDraft) -> str:
    """Name the time zone: the one that is asked for, else that of the environment, or of all of them where they share one."""
    guard = services.guard()
    found = guard.environments if wanted.environment is None else [guard.environment(wanted.environment)]
    zones = {each.time_zone for each in found if each is not None}
    if not zones:
        raise NotFound(f"there is no environment {wanted.environment}")
    if wanted.time_zone is None and len(zones) > 1:
        raise BadRequest(f"the environments are in several time zones ({', '.join(sorted(zones))}); say in which one is meant")
    return wanted.time_zone or zones.pop()


def _length(wanted: FreezeDraft, said: datetime, zone: ZoneInfo) -> timedelta:
    """Tell how long a window lasts on the wall.

    A single one that is to last some hours is never shorter, neither on the wall nor in hours, where the clock is changed in it.
    """
    starts_at = _wall(said, zone)
    begins_at = said if said.tzinfo else earliest(said, zone)
    if (wanted.ends is None) == (wanted.lasts is None):
        raise BadRequest("either the end of the freeze is said, or how long it lasts")
    longest = LONGEST if wanted.rule is None else LONGEST_RECURRING
    if wanted.ends is not None:
        end = _moment(wanted.ends)
        lasts = _wall(end, zone) - starts_at
        if lasts <= NO_TIME:  # or is that in the hour that is shown twice?
            lasts = (end if end.tzinfo else latest(end, zone)) - begins_at
    else:
        lasts = min(wanted.lasts or NO_TIME, longest + timedelta(days=1))
        if wanted.rule is None:
            lasts = max(lasts, _wall(begins_at + lasts, zone) - starts_at)
    if lasts <= NO_TIME:
        raise BadRequest("a freeze ends after it starts")
    if lasts > longest:
        raise BadRequest(f"a freeze that is single lasts at most {LONGEST.days} days, one that recurs {LONGEST_RECURRING.days}")
    return lasts


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        found = None
    if found is None or found.year not in _YEARS:
        raise BadRequest(
            f"{text[:40]!r} is not a time: 2026-12-18 15:00, or with an offset 2026-12-18T15:00+01:00, from 2000 to 2199"
        )
    return found


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    shown = on_the_wall(moment, zone) if moment.tzinfo else moment
    return shown.replace(microsecond=0)
