"""Facts of the calendar: what the wall shows where the environment is looked after, and the freezes in force."""

from __future__ import annotations

import pytest

from app.pipeline.decide.case import Act, Case, facts, local_time
from app.pipeline.decide.completion import ABSENT, BEST
from tests.pipeline.conftest import Line, environment
from tests.pipeline.freezes import utc


@pytest.mark.parametrize(
    ("zone", "now", "hour", "minute", "weekday", "date"),
    [
        ("UTC", "2026-12-31 23:59", 23, 59, 4, "2026-12-31"),
        ("Europe/Berlin", "2026-12-31 23:59", 0, 59, 5, "2027-01-01"),
        ("America/New_York", "2026-12-31 23:59", 18, 59, 4, "2026-12-31"),
        ("Europe/Berlin", "2026-03-29 00:59", 1, 59, 7, "2026-03-29"),
        ("Europe/Berlin", "2026-03-29 01:00", 3, 0, 7, "2026-03-29"),
        ("Asia/Kathmandu", "2026-06-01 18:15", 0, 0, 2, "2026-06-02"),
        ("Pacific/Kiritimati", "2026-06-07 10:00", 0, 0, 1, "2026-06-08"),
    ],
)
def test_hours_and_days_are_those_of_the_environment(
    zone: str, now: str, hour: int, minute: int, weekday: int, date: str
) -> None:
    told = local_time(zone, utc(now))
    assert told == {"hour": hour, "minute": minute, "weekday": weekday, "date": date}


@pytest.mark.parametrize("names", [[], ["b", "a"]])
def test_an_environment_is_frozen_where_any_freeze_is_in_force(line: Line, names: list[str]) -> None:
    act = Act("push", "refs/heads/main", "a" * 40, "alice")
    found = facts(Case(line.services.guard(), (environment(),), act, BEST, tuple(names), utc("2026-12-18")))
    assert (found["frozen"], found["freezes"]) == (bool(names), sorted(names))
    assert found.keys() == ABSENT.keys(), "a fact without a form for what was recorded before there was it"


def test_every_fact_about_commits_has_a_value_for_commits_with_which_nothing_is_wrong() -> None:
    """Rights are asked for by these before anything is planned (`right.py`)."""
    act = {"event", "ref", "branch", "tag", "sha", "environments", "zones", "targets", "actor_login"}
    time = {"hour", "minute", "weekday", "date", "frozen", "freezes"}
    people = {"session", "approvals", "involved"}
    assert ABSENT.keys() - act - time - people == BEST.keys()
