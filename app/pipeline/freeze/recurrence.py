"""Find when a freeze is in force: RFC 5545's recurrence rules, read strictly, and unrolled by dateutil one month at a time.

dateutil iterates from a rule's beginning and, if nothing more fits, to the year 9999. Here it gets one month (or year) at a
time, and each month is cached. So a decision costs the same for old freezes and for rare windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice

from dateutil.rrule import MONTHLY, YEARLY, rrule

from app.domain.errors import BadRequest
from app.domain.freeze import Freeze, Window
from app.domain.local_time import on_the_wall, time_zone
from app.pipeline.freeze.recurrence_rule import Rule, parse

MOST_MONTHS = 50 * 12  # a rule that does not occur within fifty years counts as never
_ONE_YEAR, _ONE_MONTH = 10_000, 120_000  # as INTERVAL: the next period is beyond the year 9999, so dateutil stops
_CHANGE = timedelta(days=1)  # no clock was ever changed by more (Samoa, 2011)


def window_at(freeze: Freeze, now: datetime) -> Window | None:
    """Return the window that holds `now`, the one that starts last; raises BadRequest if rule or zone is not understood."""
    wall = on_the_wall(now, time_zone(freeze.time_zone))
    first = max(freeze.starts_at, wall - freeze.lasts - _CHANGE)
    last = min(freeze.until or wall + _CHANGE, wall + _CHANGE)
    months = range(_month(last), _month(first) - 1, -1)
    return next((w for month in months for w in reversed(_windows(freeze, month)) if w.holds(now)), None)


def is_in_force(freeze: Freeze, now: datetime) -> bool:
    """Tell whether a freeze is in force. One that is not, or no longer, understood is in force."""
    if freeze.ended_at is not None and freeze.ended_at <= now:
        return False
    try:
        return window_at(freeze, now) is not None
    except BadRequest:
        return True


def next_window(freeze: Freeze, now: datetime) -> Window | None:
    """Return the first window that begins after `now`, if any does within fifty years; raises BadRequest as `window_at`."""
    wall = on_the_wall(now, time_zone(freeze.time_zone))
    first = _month(max(freeze.starts_at, wall - _CHANGE))
    last = min(first + MOST_MONTHS, _month(freeze.until or datetime.max))
    windows = (w for month in range(first, last + 1) for w in _windows(freeze, month))
    return next((w for w in windows if w.begins_at > now), None)


def last_start(rule: Rule, first: datetime, until: datetime | None) -> datetime | None:
    """Return the last start of a rule that begins at `first`, None if it has none; raises BadRequest if it never occurs."""
    months = range(_month(first), _month(first) + MOST_MONTHS)
    starts = (s for month in months for s in starts_in(rule, first, month) if until is None or s <= until)
    if rule.count is not None:
        first_starts = list(islice(starts, rule.count))
        if len(first_starts) == rule.count:
            return first_starts[-1]
        raise BadRequest(
            f"the recurrence rule occurs only {len(first_starts)} times in fifty years, not COUNT={rule.count} times"
        )
    if next(starts, None) is None:
        raise BadRequest("the recurrence rule never occurs within fifty years")
    return until


def starts_in(rule: Rule, first: datetime, month: int) -> Iterator[datetime]:
    """List in order a rule's starts in one month (a number: year * 12 + month - 1). The rule begins at `first`."""
    year, index = divmod(month, 12)
    parts = rule.filled_in(first) | {"byminute": first.minute, "bysecond": first.second}
    if rule.frequency == "YEARLY":
        candidates = rrule(YEARLY, datetime(year, 1, 1), interval=_ONE_YEAR, **parts)
    else:
        candidates = rrule(MONTHLY, datetime(year, index + 1, 1), interval=_ONE_MONTH, **parts)
    return (s for s in candidates if s >= first and _month(s) == month and rule.is_turn(first, s))


@lru_cache(maxsize=1024)
def _windows(freeze: Freeze, month: int) -> tuple[Window, ...]:
    """List the windows that start in a month."""
    if freeze.rule is None:
        return (freeze.window(freeze.starts_at),) if _month(freeze.starts_at) == month else ()
    starts = starts_in(parse(freeze.rule), freeze.starts_at, month)
    return tuple(freeze.window(s) for s in starts if freeze.until is None or s <= freeze.until)


def _month(moment: datetime) -> int:
    return moment.year * 12 + moment.month - 1
