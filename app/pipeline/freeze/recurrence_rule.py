"""Read recurrence rules as RFC 5545 (3.3.10) spells them: every part is known and within its bounds, or the rule is refused.

This is stricter than dateutil, which accepts forbidden rules and silently reads something else. Parts that no freeze needs are
refused too: frequencies finer than hours, BYMINUTE and BYSECOND (the start has them), BYSETPOS outside months and years.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.rrule import weekdays

from app.domain.errors import BadRequest
from app.domain.local_time import on_the_wall

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY")
LONGEST_RULE = 500
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY = re.compile(r"\A([+-]?[1-9]\d?)?(MO|TU|WE|TH|FR|SA|SU)\Z")
_NUMBER = re.compile(r"\A[+-]?\d{1,4}\Z")
_UNTIL = re.compile(r"\A\d{8}(T\d{6}Z?)?\Z")
_NUMBERS = {  # the highest value; parts that may count from the end take it negative too, and never 0
    "INTERVAL": 1000,
    "COUNT": 500,
    "BYMONTH": 12,
    "BYMONTHDAY": 31,
    "BYYEARDAY": 366,
    "BYWEEKNO": 53,
    "BYHOUR": 23,
    "BYSETPOS": 366,
}
_FROM_THE_END = {"BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"}
_LISTS = {name for name in _NUMBERS if name.startswith("BY")}
_ONLY_WITH = {  # RFC 5545, 3.3.10, the table of expansions and limits
    "BYWEEKNO": ("YEARLY",),
    "BYYEARDAY": ("YEARLY", "HOURLY"),
    "BYMONTHDAY": ("YEARLY", "MONTHLY", "DAILY", "HOURLY"),
    "BYSETPOS": ("YEARLY", "MONTHLY"),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as read. `parts` holds the BY parts and WKST as arguments for dateutil; `until` is as written."""

    frequency: str
    interval: int
    count: int | None
    until: str | None
    parts: Mapping[str, Any]

    def filled_in(self, first: datetime) -> dict[str, Any]:
        """Add the parts that follow from the rule's beginning. Otherwise dateutil would take them from the month in hand."""
        parts = {"byhour": list(range(24)) if self.frequency == "HOURLY" else [first.hour], **self.parts}
        if parts.keys() & {"byweekday", "bymonthday", "byyearday"}:
            return parts
        match self.frequency:
            case "YEARLY" if "byweekno" not in parts:
                return {"bymonth": [first.month], "bymonthday": [first.day]} | parts
            case "MONTHLY":
                return {"bymonthday": [first.day]} | parts
            case "DAILY" | "HOURLY":
                return {"byweekday": list(range(7))} | parts
            case _:
                return {"byweekday": [first.weekday()]} | parts

    def is_turn(self, first: datetime, start: datetime) -> bool:
        """Tell whether a start lies in one of the periods that INTERVAL selects, counted from the period of `first`."""
        match self.frequency:
            case "YEARLY":
                periods = start.year - first.year
            case "MONTHLY":
                periods = (start.year - first.year) * 12 + start.month - first.month
            case "WEEKLY":
                week = first.date() - timedelta(days=(first.weekday() - self.parts["wkst"]) % 7)
                periods = (start.date() - week).days // 7
            case "DAILY":
                periods = (start.date() - first.date()).days
            case _:
                periods = (start - first) // timedelta(hours=1)
        return periods % self.interval == 0

    def last_by(self, zone: ZoneInfo) -> datetime | None:
        """Return UNTIL in local time: a date counts to its end, and a time with Z is UTC; raises BadRequest."""
        if self.until is None:
            return None
        try:
            if len(self.until) == len("YYYYMMDD"):
                return datetime.strptime(f"{self.until}235959", "%Y%m%d%H%M%S")
            moment = datetime.strptime(self.until[:15], "%Y%m%dT%H%M%S")
            return on_the_wall(moment.replace(tzinfo=UTC), zone) if self.until.endswith("Z") else moment
        except (ValueError, OverflowError):
            raise BadRequest(f"recurrence rule: UNTIL={self.until} is not a date") from None


def parse(text: str) -> Rule:
    """Read a rule; raises BadRequest, which says what is expected."""
    parts = _split(text)
    frequency = parts.pop("FREQ", "")
    if frequency not in FREQUENCIES:
        raise _bad_rule(f"FREQ is one of {', '.join(FREQUENCIES)}")
    for name in parts:
        if name in _ONLY_WITH and frequency not in _ONLY_WITH[name]:
            raise _bad_rule(f"{name} goes with FREQ={' or '.join(_ONLY_WITH[name])}, and not with {frequency}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise _bad_rule("COUNT and UNTIL exclude each other")
    if "BYSETPOS" in parts and not any(name.startswith("BY") and name != "BYSETPOS" for name in parts):
        raise _bad_rule("BYSETPOS needs another BY part to choose from")
    until = parts.pop("UNTIL", None)
    if until is not None and not _UNTIL.match(until):
        raise _bad_rule("UNTIL is YYYYMMDD, YYYYMMDDTHHMMSS or YYYYMMDDTHHMMSSZ")
    arguments: dict[str, Any] = {"wkst": _day_number(parts.pop("WKST", "MO"))}
    if "BYDAY" in parts:
        highest = _highest_weekday(frequency, parts.keys())
        arguments["byweekday"] = [_weekday(day, highest) for day in parts.pop("BYDAY").split(",")]
    numbers = {name: _numbers(name, value) for name, value in parts.items()}
    interval, count = numbers.pop("INTERVAL", [1])[0], numbers.pop("COUNT", [None])[0]
    return Rule(frequency, interval, count, until, arguments | {name.lower(): values for name, values in numbers.items()})


def _split(text: str) -> dict[str, str]:
    """Split a rule into its parts, each of which stands once. A word alone is a frequency: `weekly`."""
    if len(text) > LONGEST_RULE or not text.isascii():
        raise _bad_rule(f"it is at most {LONGEST_RULE} plain characters")
    text = text.strip().upper().removeprefix("RRULE:")
    parts: dict[str, str] = {}
    for part in (f"FREQ={text}" if "=" not in text else text).split(";"):
        name, _, value = part.partition("=")
        if not value or name in parts:
            raise _bad_rule(f"{part!r} is not NAME=VALUE, or occurs twice; an example is FREQ=WEEKLY;BYDAY=FR,SA,SU")
        parts[name] = value
    return parts


def _numbers(name: str, value: str) -> list[Any]:
    if name not in _NUMBERS:
        raise _bad_rule(f"{name[:20]} is not supported; known are FREQ, UNTIL, WKST, BYDAY, {', '.join(_NUMBERS)}")
    texts = value.split(",") if name in _LISTS else [value]
    lowest = 0 if name == "BYHOUR" else 1
    numbers = [int(text) if _NUMBER.match(text) else 0 for text in texts]
    sizes = [abs(number) if name in _FROM_THE_END else number for number in numbers]
    if not all(map(_NUMBER.match, texts)) or not all(lowest <= size <= _NUMBERS[name] for size in sizes):
        kind = "numbers" if name in _LISTS else "a number"
        signs = ", or from the end with a minus" if name in _FROM_THE_END else ""
        raise _bad_rule(f"{name} takes {kind} from {lowest} to {_NUMBERS[name]}{signs}")
    return numbers


def _highest_weekday(frequency: str, parts: Collection[str]) -> int:
    """Return the highest number a weekday may have: within a month, within a year, or none (RFC 5545, BYDAY)."""
    if frequency == "MONTHLY" or (frequency == "YEARLY" and "BYMONTH" in parts and "BYWEEKNO" not in parts):
        return 5
    return 53 if frequency == "YEARLY" and "BYWEEKNO" not in parts else 0


def _weekday(text: str, highest: int) -> Any:
    match = _DAY.match(text)
    if match is None:
        raise _bad_rule(
            "BYDAY takes MO, TU, WE, TH, FR, SA, SU, with FREQ=MONTHLY or YEARLY also 1MO (the first) or -1FR (the last)"
        )
    if match[1] and abs(int(match[1])) > highest:
        raise _bad_rule(
            f"BYDAY={text}: a number is at most 5 in a month and 53 in a year; with another FREQ or BYWEEKNO there is none"
        )
    day = weekdays[_day_number(match[2])]
    return day(int(match[1])) if match[1] else day


def _day_number(text: str) -> int:
    if text not in _DAYS:
        raise _bad_rule(f"WKST is one of {', '.join(_DAYS)}")
    return _DAYS.index(text)


def _bad_rule(why: str) -> BadRequest:
    return BadRequest(f"recurrence rule: {why}")
