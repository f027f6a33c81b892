"""A freeze as an operator asks for it, and the freeze that results. Used by `freeze.py`."""

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
    """A freeze of one environment or, if that is None, of all.

    Times are ISO 8601, local to `time_zone` (None: the environment's) or with an offset. Without `starts` it starts now.
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
    """Make the freeze that is wanted; raises NotFound (no such environment) or BadRequest, which says what is expected."""
    if not NAME.match(wanted.name):
        raise BadRequest("a freeze's name has 1 to 63 characters: a-z, 0-9 and -, and does not begin with -")
    if not wanted.reason.strip() or not wanted.reason.isprintable() or len(wanted.reason) > LONGEST_REASON:
        raise BadRequest(f"a freeze has a reason: one printable line of at most {LONGEST_REASON} characters")
    zone = time_zone(_zone_name(services, wanted))
    start = _moment(wanted.starts) if wanted.starts is not None else now
    starts_at = _wall(start, zone)
    freeze = Freeze(
        id=services.ids.new(),
        name=wanted.name,
        environment=wanted.environment,
        reason=wanted.reason.strip(),
        time_zone=zone.key,
        starts_at=starts_at,
        lasts=_length(wanted, start, zone),
        rule=wanted.rule,
        until=starts_at,
        added_by=by.key,
        added_at=now,
    )
    if wanted.rule is not None:
        rule = parse(wanted.rule)
        freeze = replace(freeze, until=last_start(rule, starts_at, rule.last_by(zone)))
    if window_at(freeze, now) is None and next_window(freeze, now) is None:
        raise BadRequest(f"the freeze is over already; it is {_wall(now, zone)} in {zone.key}")
    return freeze


def _zone_name(services: Services, wanted: FreezeDraft) -> str:
    """Name the time zone: the one that is asked for, else the environment's, or the one that all environments share."""
    guard = services.guard()
    environments = guard.environments if wanted.environment is None else [guard.environment(wanted.environment)]
    zones = {environment.time_zone for environment in environments if environment is not None}
    if not zones:
        raise NotFound(f"there is no environment {wanted.environment}")
    if wanted.time_zone is None and len(zones) > 1:
        raise BadRequest(f"the environments are in several time zones ({', '.join(sorted(zones))}); say which one is meant")
    return wanted.time_zone or zones.pop()


def _length(wanted: FreezeDraft, start: datetime, zone: ZoneInfo) -> timedelta:
    """Return how long a window lasts in local time.

    A single window of some hours is never shorter, neither in local time nor in real hours, even if the clock changes in it.
    """
    starts_at = _wall(start, zone)
    begins_at = start if start.tzinfo else earliest(start, zone)
    if (wanted.ends is None) == (wanted.lasts is None):
        raise BadRequest("a freeze needs either its end or its length, and not both")
    longest = LONGEST if wanted.rule is None else LONGEST_RECURRING
    if wanted.ends is not None:
        end = _moment(wanted.ends)
        lasts = _wall(end, zone) - starts_at
        if lasts <= NO_TIME:  # it may lie in the hour that the clock shows twice
            lasts = (end if end.tzinfo else latest(end, zone)) - begins_at
    else:
        lasts = min(wanted.lasts or NO_TIME, longest + timedelta(days=1))
        if wanted.rule is None:
            lasts = max(lasts, _wall(begins_at + lasts, zone) - starts_at)
    if lasts <= NO_TIME:
        raise BadRequest("a freeze ends after it starts")
    if lasts > longest:
        raise BadRequest(f"a single freeze lasts at most {LONGEST.days} days, and a recurring one {LONGEST_RECURRING.days}")
    return lasts


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None or moment.year not in _YEARS:
        raise BadRequest(
            f"{text[:40]!r} is not a time: 2026-12-18 15:00, or with an offset 2026-12-18T15:00+01:00, from 2000 to 2199"
        )
    return moment


def _wall(moment: datetime, zone: ZoneInfo) -> datetime:
    shown = on_the_wall(moment, zone) if moment.tzinfo else moment
    return shown.replace(microsecond=0)
