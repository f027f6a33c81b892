"""Local times: zones by their names in the IANA database, and both readings of a time that occurs twice or never."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.domain.errors import BadRequest
from app.domain.local_time import earliest, latest, on_the_wall, time_zone


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "wall", "first", "last"),
    [
        ("Europe/Berlin", "2026-03-28 02:30", "2026-03-28 01:30", "2026-03-28 01:30"),  # the day before: as ever
        ("Europe/Berlin", "2026-03-29 02:30", "2026-03-29 00:30", "2026-03-29 01:30"),  # never shown
        ("Europe/Berlin", "2026-10-25 02:30", "2026-10-25 00:30", "2026-10-25 01:30"),  # shown twice
        ("America/New_York", "2026-03-08 02:30", "2026-03-08 06:30", "2026-03-08 07:30"),
        ("America/New_York", "2026-11-01 01:30", "2026-11-01 05:30", "2026-11-01 06:30"),
        ("Australia/Lord_Howe", "2026-10-04 02:15", "2026-10-03 15:15", "2026-10-03 15:45"),  # half an hour
        ("Australia/Lord_Howe", "2026-04-05 01:45", "2026-04-04 14:45", "2026-04-04 15:15"),
        ("Pacific/Apia", "2011-12-30 12:00", "2011-12-29 22:00", "2011-12-30 22:00"),  # a whole day that never was
        ("UTC", "2026-03-29 02:30", "2026-03-29 02:30", "2026-03-29 02:30"),
    ],
)
def test_a_time_that_is_shown_twice_or_never_has_two_readings(zone: str, wall: str, first: str, last: str) -> None:
    shown = datetime.fromisoformat(wall)
    assert (earliest(shown, time_zone(zone)), latest(shown, time_zone(zone))) == (utc(first), utc(last))
    assert earliest(shown.replace(fold=1), time_zone(zone)) == utc(first)


def test_what_the_wall_shows_has_neither_zone_nor_fold() -> None:
    shown = on_the_wall(utc("2026-10-25 01:30"), time_zone("Europe/Berlin"))
    assert (shown, shown.tzinfo, shown.fold) == (datetime(2026, 10, 25, 2, 30), None, 0)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", ".", "..", "/", "Europe", "Europe/", "Europe/Nowhere", "europe/berlin", "Europe/Berlin ", "Europe/Berlin\n"),
        *("../etc/passwd", "/etc/localtime", "localtime", "posixrules", "Factory", "right/Europe/Berlin", "posix/Europe/Berlin"),
        *(
            "a" * 10_000,
            "Europe/" + "a" * 300,
            "a/b/c/d/e",
            "\0",
            "\ud800",
            "Europe\\Berlin",
            "CET\x1b[31m",
            "+01:00",
            "zone1970.tab",
        ),
    ],
)
def test_what_is_no_time_zone_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(
        BadRequest, match=r"is not a time zone; it is spelled as in the IANA database, such as Europe/Berlin$"
    ) as told:
        time_zone(name)
    assert str(told.value).isprintable() and len(str(told.value)) < 400


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+12", "America/Port-au-Prince"]
)
def test_zones_are_taken_by_their_names(name: str) -> None:
    assert time_zone(name).key == name
