"""When a freeze is in force: edges, daylight saving both ways, and every minute as a naive evaluation has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import BadRequest
from app.domain.freeze import Freeze
from app.pipeline.freeze.recurrence import is_in_force, last_start, next_window, window_at
from app.pipeline.freeze.recurrence_rule import parse
from tests.pipeline.freezes import BERLIN, LORD_HOWE, NEW_YORK, frozen_from, utc

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
WEEKENDS = "FREQ=WEEKLY;BYDAY=FR"


def assert_one_window(freeze: Freeze, begins: str, ends: str) -> None:
    """Check that it is in force from exactly `begins` until just before `ends`."""
    first, last = utc(begins), utc(ends)
    at = [first - SECOND, first, first + (last - first) / 2, last - SECOND, last]
    assert [is_in_force(freeze, moment) for moment in at] == [False, True, True, True, False]
    held = window_at(freeze, first)
    assert held is not None and (held.begins_at, held.ends_at) == (first, last)


def test_the_start_is_in_and_the_end_is_not() -> None:
    assert_one_window(frozen_from("2026-12-18 15:00", 24 * 17 - 7), "2026-12-18 14:00", "2027-01-04 07:00")


@pytest.mark.parametrize(
    ("freeze", "begins", "ends"),
    [
        # the end stays 10:00 on the wall: 64 hours in spring, 66 in autumn
        (frozen_from("2026-03-27 17:00", 65), "2026-03-27 16:00", "2026-03-30 08:00"),
        (frozen_from("2026-10-23 17:00", 65), "2026-10-23 15:00", "2026-10-26 09:00"),
        (frozen_from("2026-03-06 17:00", 65, zone=NEW_YORK), "2026-03-06 22:00", "2026-03-09 14:00"),
        (frozen_from("2026-10-30 17:00", 65, zone=NEW_YORK), "2026-10-30 21:00", "2026-11-02 15:00"),
        (frozen_from("2026-10-02 17:00", 65, zone=LORD_HOWE), "2026-10-02 06:30", "2026-10-04 23:00"),
        (frozen_from("2026-04-03 17:00", 65, zone=LORD_HOWE), "2026-04-03 06:00", "2026-04-05 23:30"),
        # what the wall never shows begins with the earlier reading and ends with the later
        (frozen_from("2026-03-29 02:30", 3), "2026-03-29 00:30", "2026-03-29 03:30"),
        (frozen_from("2026-03-29 00:30", 2), "2026-03-28 23:30", "2026-03-29 01:30"),
        (frozen_from("2026-03-29 02:10", 0.5), "2026-03-29 00:10", "2026-03-29 01:40"),
        (frozen_from("2026-03-08 02:30", 3, zone=NEW_YORK), "2026-03-08 06:30", "2026-03-08 09:30"),
        (frozen_from("2026-10-04 02:15", 1, zone=LORD_HOWE), "2026-10-03 15:15", "2026-10-03 16:15"),
        # what it shows twice begins with the first time and ends with the second
        (frozen_from("2026-10-25 02:10", 0.5), "2026-10-25 00:10", "2026-10-25 01:40"),
        (frozen_from("2026-10-25 02:30", 3), "2026-10-25 00:30", "2026-10-25 04:30"),
        (frozen_from("2026-11-01 00:30", 1, zone=NEW_YORK), "2026-11-01 04:30", "2026-11-01 06:30"),
        (frozen_from("2026-04-05 01:45", 0.25, zone=LORD_HOWE), "2026-04-04 14:45", "2026-04-04 15:30"),
        # and each as a window of a rule that began long ago
        (frozen_from("2006-03-24 17:00", 65, WEEKENDS), "2026-03-27 16:00", "2026-03-30 08:00"),
        (frozen_from("2006-03-24 17:00", 65, WEEKENDS), "2026-10-23 15:00", "2026-10-26 09:00"),
        (frozen_from("2006-01-01 02:30", 1, "FREQ=DAILY"), "2026-03-29 00:30", "2026-03-29 01:30"),
        (frozen_from("2006-01-01 02:10", 0.5, "FREQ=DAILY"), "2026-10-25 00:10", "2026-10-25 01:40"),
        (frozen_from("2006-01-01 02:15", 0.75, "FREQ=DAILY", zone=LORD_HOWE), "2026-10-03 15:15", "2026-10-03 16:00"),
        (frozen_from("2006-01-01 01:45", 0.5, "FREQ=DAILY", zone=LORD_HOWE), "2026-04-04 14:45", "2026-04-04 15:45"),
    ],
)
def test_windows_are_told_by_the_wall_and_err_towards_frozen(freeze: Freeze, begins: str, ends: str) -> None:
    assert_one_window(freeze, begins, ends)


def test_five_in_the_afternoon_stays_five_in_the_afternoon() -> None:
    freeze = frozen_from("2026-01-05 17:00", 1, "FREQ=DAILY")
    moment, seen = utc("2026-01-05"), set()
    for _ in range(365):
        window = next_window(freeze, moment)
        assert window is not None
        moment = window.begins_at
        seen.add((moment.astimezone(ZoneInfo(BERLIN)).time().isoformat(), moment.hour))
    assert seen == {("17:00:00", 16), ("17:00:00", 15)}
    assert moment == utc("2027-01-04 16:00")


@pytest.mark.parametrize(
    ("rule", "hours"),
    [("FREQ=DAILY", 24), ("FREQ=DAILY", 30), ("FREQ=WEEKLY", 24 * 8), ("FREQ=HOURLY", 5), ("FREQ=HOURLY", 24 * 366)],
)
def test_windows_that_are_as_long_as_their_period_or_longer_freeze_for_ever(rule: str, hours: int) -> None:
    freeze = frozen_from("2026-01-05 17:00", hours, rule)
    assert not is_in_force(freeze, utc("2026-01-05 15:59"))
    assert all(is_in_force(freeze, utc("2026-01-05 16:00") + n * timedelta(hours=7)) for n in range(1300))


def test_the_last_of_long_windows_holds_to_its_end() -> None:
    freeze = frozen_from("2026-01-05 17:00", 24 * 90, "FREQ=WEEKLY", until="2026-02-02 17:00")
    assert_one_window(replace(freeze, starts_at=freeze.until or freeze.starts_at), "2026-02-02 16:00", "2026-05-03 15:00")
    assert is_in_force(freeze, utc("2026-05-03 14:59")) and not is_in_force(freeze, utc("2026-05-03 15:00"))
    assert next_window(freeze, utc("2026-02-02 16:00")) is None


def test_a_rule_begins_with_the_first_start_that_fits_it() -> None:
    freeze = frozen_from("2026-12-15 17:00", 65, WEEKENDS)  # a Tuesday
    assert not is_in_force(freeze, utc("2026-12-15 16:30"))
    window = next_window(freeze, utc("2026-12-15 16:30"))
    assert window is not None and window.begins_at == utc("2026-12-18 16:00")


@pytest.mark.parametrize(
    ("rule", "start", "starts"),
    [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU", "2026-01-01 09:00", ["01-04", "01-12", "01-18", "01-26"]),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU", "2026-01-01 09:00", ["01-11", "01-12", "01-25", "01-26"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-01 09:00", ["01-30", "02-27", "03-27", "04-24"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "2026-01-01 09:00", ["01-30", "02-27", "03-31", "04-30"]),
        ("FREQ=MONTHLY", "2026-01-31 09:00", ["01-31", "03-31", "05-31", "07-31"]),
        ("FREQ=YEARLY;BYDAY=20MO", "1997-05-19 09:00", ["05-19", "05-18", "05-17", "05-15"]),  # the RFC's own examples
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-12 09:00", ["05-12", "05-11", "05-17", "05-15"]),
        ("FREQ=YEARLY;INTERVAL=2;BYMONTH=1;BYDAY=SU", "1997-01-05 09:00", ["01-05", "01-12", "01-19", "01-26"]),
        ("FREQ=YEARLY;INTERVAL=3;BYYEARDAY=1,100,200", "1997-01-01 09:00", ["01-01", "04-10", "07-19", "01-01"]),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1997-09-02 09:00", ["02-13", "03-13", "11-13", "08-13"]),
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8", "1996-11-05 09:00", ["11-05", "11-07", "11-02"]),
        ("FREQ=YEARLY;BYWEEKNO=1", "2026-01-01 09:00", ["01-01", "01-07", "01-06", "01-04"]),  # Thursdays, as the first one
    ],
)
def test_rules_mean_what_the_rfc_says(rule: str, start: str, starts: list[str]) -> None:
    freeze = frozen_from(start, 1, rule, zone="UTC")
    moment, found = utc(start) - SECOND, []
    for _ in starts:
        window = next_window(freeze, moment)
        assert window is not None and window.begins_at.time().isoformat() == "09:00:00"
        moment = window.begins_at
        found.append(f"{moment:%m-%d}")
    assert found == starts


@pytest.mark.parametrize(
    ("rule", "until"),
    [
        ("FREQ=DAILY", None),
        ("FREQ=DAILY;COUNT=1", "2026-01-05 17:00"),
        ("FREQ=DAILY;COUNT=500", "2027-05-19 17:00"),
        ("FREQ=WEEKLY;BYDAY=FR;COUNT=3", "2026-01-23 17:00"),
        ("FREQ=DAILY;UNTIL=20260201", "2026-02-01 23:59:59"),  # a date counts to its end
        ("FREQ=DAILY;UNTIL=20260201T120000", "2026-02-01 12:00"),
        ("FREQ=DAILY;UNTIL=20260701T120000Z", "2026-07-01 14:00"),
    ],
)
def test_count_and_until_come_to_a_last_start(rule: str, until: str | None) -> None:
    read = parse(rule)
    last = last_start(read, datetime(2026, 1, 5, 17), read.last_by(ZoneInfo(BERLIN)))
    assert last == (datetime.fromisoformat(until) if until else None)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=4;BYMONTHDAY=31",
        "FREQ=YEARLY;INTERVAL=100;BYMONTH=1;BYMONTHDAY=1",
        "FREQ=HOURLY;INTERVAL=24;BYHOUR=16",
        "FREQ=DAILY;UNTIL=20250101",
        "FREQ=YEARLY;COUNT=51",
    ],
)
def test_what_never_occurs_is_refused(rule: str) -> None:
    read = parse(rule)
    with pytest.raises(BadRequest, match=r"in fifty years"):
        last_start(read, datetime(2026, 1, 5, 17), read.last_by(ZoneInfo(BERLIN)))


@pytest.mark.parametrize("over", [{"time_zone": "Europe/Nowhere"}, {"rule": "FREQ=MOONLY"}])
def test_what_is_not_understood_any_more_is_in_force_until_it_is_ended(over: dict[str, str]) -> None:
    freeze = replace(frozen_from("2026-01-05 17:00", 1, "FREQ=DAILY"), **over)  # type: ignore[arg-type]
    assert is_in_force(freeze, utc("2026-02-01 03:00"))
    assert not is_in_force(replace(freeze, ended_at=utc("2026-02-01")), utc("2026-02-01 03:00"))


def readings(zone: ZoneInfo, around: datetime) -> dict[datetime, list[datetime]]:
    """List for each minute that a wall shows in some days the instants at which it does, found by looking at the clock."""
    shown: dict[datetime, list[datetime]] = {}
    for n in range(-5 * 1440, 5 * 1440):
        moment = around + n * MINUTE
        shown.setdefault(moment.astimezone(zone).replace(tzinfo=None, fold=0), []).append(moment)
    return shown


def naive_windows(freeze: Freeze, around: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Iterate a rule from its beginning, as dateutil does, and find both ends of each window by looking at the clock."""
    zone = ZoneInfo(freeze.time_zone)
    shown = readings(zone, around)
    offsets = [(around + n * timedelta(days=5)).astimezone(zone).utcoffset() or timedelta() for n in (-1, 1)]

    def instants(wall: datetime) -> list[datetime]:
        return shown.get(wall) or [(wall - offset).replace(tzinfo=UTC) for offset in offsets]

    near = around.astimezone(zone).replace(tzinfo=None)
    rule = rrulestr(freeze.rule or "FREQ=YEARLY;COUNT=1", dtstart=freeze.starts_at)
    for start in rule.between(near - timedelta(days=4) - freeze.lasts, near + timedelta(days=4), inc=True):
        yield min(instants(start)), max(instants(start + freeze.lasts))


DAYS = st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=4, unique=True)
EVERY = st.integers(1, 5)
RULES = st.one_of(
    st.builds("FREQ=WEEKLY;INTERVAL={};BYDAY={};WKST={}".format, EVERY, DAYS.map(",".join), st.sampled_from(["MO", "SU"])),
    st.builds("FREQ=DAILY;INTERVAL={}".format, EVERY),
    st.builds("FREQ=DAILY;BYDAY={};BYHOUR={}".format, DAYS.map(",".join), st.sampled_from(["2", "1,2,3", "0,12"])),
    st.builds("FREQ=HOURLY;INTERVAL={}".format, st.integers(1, 50)),
    st.builds(
        "FREQ=MONTHLY;INTERVAL={};BYDAY={}{}".format, EVERY, st.sampled_from(["1", "-1", "4"]), st.sampled_from(["SU", "SA"])
    ),
    st.builds("FREQ=MONTHLY;BYMONTHDAY={}".format, st.sampled_from(["-1", "29", "1,15", "25,26,27,28"])),
    st.builds(
        "FREQ=YEARLY;INTERVAL={};BYMONTH=3,4,10,11;BYDAY={}".format, st.integers(1, 2), st.sampled_from(["SU", "1SU", "-1SU,SA"])
    ),
    st.none(),
)
CHANGES = st.sampled_from(
    [
        (BERLIN, "2026-03-29 01:00"),
        (BERLIN, "2026-10-25 01:00"),
        (NEW_YORK, "2026-03-08 07:00"),
        (NEW_YORK, "2026-11-01 06:00"),
        (LORD_HOWE, "2026-10-03 15:30"),
        (LORD_HOWE, "2026-04-04 15:00"),
        ("UTC", "2026-06-01 00:00"),
    ]
)


@given(RULES, CHANGES, st.integers(0, 500), st.integers(0, 1439), st.integers(1, 3 * 1440))
@settings(max_examples=60, deadline=None)
def test_every_minute_is_as_a_naive_evaluation_has_it(
    rule: str | None, change: tuple[str, str], days: int, minute: int, lasts: int
) -> None:
    zone, around = change[0], utc(change[1])
    start = around.replace(hour=0, minute=0) - timedelta(days=days if rule else days % 3, minutes=-minute)
    freeze = frozen_from(start.replace(tzinfo=None).isoformat(), lasts / 60, rule, zone=zone)
    windows = list(naive_windows(freeze, around))
    for n in range(-1440, 1440):
        moment = around + n * MINUTE
        assert is_in_force(freeze, moment) == any(begins <= moment < ends for begins, ends in windows), moment
