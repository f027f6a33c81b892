"""Recurrence rules: what RFC 5545 allows is read, all else is refused in one line that says what is expected."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.errors import BadRequest
from app.pipeline.freeze.recurrence import last_start, starts_in
from app.pipeline.freeze.recurrence_rule import FREQUENCIES, parse

FIRST = datetime(2026, 1, 5, 17)


@pytest.mark.parametrize(
    "text",
    ["weekly", " Weekly ", "FREQ=WEEKLY", "freq=weekly", "RRULE:FREQ=WEEKLY", "FREQ=WEEKLY;INTERVAL=1", "INTERVAL=1;FREQ=WEEKLY"],
)
def test_a_rule_may_be_spelled_in_several_ways(text: str) -> None:
    assert parse(text) == parse("FREQ=WEEKLY;WKST=MO")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not NAME=VALUE"),
        ("moonly", "FREQ is one of YEARLY, MONTHLY, WEEKLY, DAILY, HOURLY"),
        ("BYDAY=FR", "FREQ is one of"),
        ("FREQ=MINUTELY", "FREQ is one of"),
        ("FREQ=SECONDLY", "FREQ is one of"),
        ("FREQ=", "is not NAME=VALUE"),
        ("FREQ=DAILY;", "is not NAME=VALUE"),
        ("FREQ=DAILY;FREQ=DAILY", "occurs twice"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL takes a number from 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=-1", "INTERVAL takes a number from 1 to 1000"),
        ("FREQ=DAILY;INTERVAL=1001", "INTERVAL takes a number"),
        ("FREQ=DAILY;INTERVAL=1,2", "INTERVAL takes a number"),
        ("FREQ=DAILY;INTERVAL=" + "9" * 400, "INTERVAL takes a number"),
        ("FREQ=DAILY;COUNT=501", "COUNT takes a number from 1 to 500"),
        ("FREQ=DAILY;COUNT=0", "COUNT takes a number from 1 to 500"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "COUNT and UNTIL exclude each other"),
        ("FREQ=DAILY;UNTIL=tomorrow", "UNTIL is YYYYMMDD"),
        ("FREQ=DAILY;UNTIL=2027-01-01", "UNTIL is YYYYMMDD"),
        ("FREQ=WEEKLY;BYDAY=1FR", "BYDAY=1FR: a number is at most 5 in a month"),  # dateutil reads every Friday
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1FR", "BYDAY=1FR: a number"),
        ("FREQ=MONTHLY;BYDAY=6MO", "BYDAY=6MO: a number"),
        ("FREQ=YEARLY;BYMONTH=2;BYDAY=53SU", "BYDAY=53SU: a number"),  # on which dateutil falls
        ("FREQ=MONTHLY;BYDAY=0FR", "BYDAY takes MO, TU"),
        ("FREQ=YEARLY;BYDAY=54FR", "BYDAY=54FR: a number"),
        ("FREQ=MONTHLY;BYDAY=FR(1)", "BYDAY takes MO, TU"),  # dateutil's own spelling
        ("FREQ=WEEKLY;BYDAY=FRI", "BYDAY takes MO, TU"),
        ("FREQ=WEEKLY;BYDAY=FR,", "BYDAY takes MO, TU"),
        ("FREQ=WEEKLY;BYWEEKDAY=FR", "BYWEEKDAY is not supported"),
        ("FREQ=YEARLY;BYEASTER=0", "BYEASTER is not supported"),
        ("FREQ=DAILY;BYMINUTE=1", "BYMINUTE is not supported"),
        ("FREQ=DAILY;BYSECOND=1", "BYSECOND is not supported"),
        ("FREQ=DAILY;DTSTART=20260101", "DTSTART is not supported"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR takes numbers from 0 to 23"),
        ("FREQ=DAILY;BYHOUR=-1", "BYHOUR takes numbers from 0 to 23"),
        ("FREQ=DAILY;BYHOUR=x", "BYHOUR takes numbers from 0 to 23"),
        ("FREQ=DAILY;BYMONTH=13", "BYMONTH takes numbers from 1 to 12"),
        ("FREQ=DAILY;BYMONTH=-1", "BYMONTH takes numbers from 1 to 12"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY takes numbers from 1 to 31, or from the end with a minus"),
        ("FREQ=MONTHLY;BYMONTHDAY=-32", "BYMONTHDAY takes numbers"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY goes with FREQ=YEARLY or MONTHLY or DAILY or HOURLY, and not with WEEKLY"),
        ("FREQ=MONTHLY;BYWEEKNO=1", "BYWEEKNO goes with FREQ=YEARLY"),
        ("FREQ=DAILY;BYYEARDAY=1", "BYYEARDAY goes with"),
        ("FREQ=WEEKLY;BYDAY=FR;BYSETPOS=1", "BYSETPOS goes with FREQ=YEARLY or MONTHLY"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS needs another BY part"),
        ("FREQ=WEEKLY;WKST=XX", "WKST is one of MO"),
        ("FREQ=WEEKLY\nEXDATE:20260101", "is not NAME=VALUE|FREQ is one of"),
        ("FREQ=WEEKLY;BYDAY=ＦＲ", "plain characters"),
        ("FREQ=DAILY;BYHOUR=" + ",".join(["1"] * 1000), "at most 500 plain characters"),
    ],
)
def test_what_a_rule_may_not_say_is_told(text: str, why: str) -> None:
    with pytest.raises(BadRequest, match=f"^recurrence rule: .*({why})"):
        parse(text)


@pytest.mark.parametrize("until", ["20261301", "20260230", "20260101T250000", "00000101", "20260101T236000Z"])
def test_an_until_that_is_no_date_is_told(until: str) -> None:
    with pytest.raises(BadRequest, match=f"UNTIL={until} is not a date"):
        parse(f"FREQ=DAILY;UNTIL={until}").last_by(ZoneInfo("Europe/Berlin"))


PARTS = st.sampled_from(
    [
        *(
            "INTERVAL=2",
            "INTERVAL=999",
            "COUNT=5",
            "COUNT=500",
            "UNTIL=20270101",
            "UNTIL=99991231T235959Z",
            "UNTIL=00010101T000000Z",
        ),
        *("BYDAY=FR", "BYDAY=-1MO", "BYDAY=53SU", "BYMONTH=2", "BYMONTHDAY=30", "BYMONTHDAY=-1", "BYYEARDAY=366", "BYWEEKNO=53"),
        *("BYHOUR=0,23", "BYSETPOS=1", "BYSETPOS=-366", "WKST=SU", "BYWEEKNO=-1", "X=Y", "BYDAY=MO,TU,WE,TH,FR,SA,SU"),
    ]
)
COMPOSED = st.builds(lambda f, parts: ";".join([f"FREQ={f}", *parts]), st.sampled_from(FREQUENCIES), st.lists(PARTS, max_size=5))


@given(st.one_of(st.text(), COMPOSED, st.text("FREQ=DAILY;BYMONTHUSC0123456789,-+:", max_size=60).map("FREQ=DAILY;".__add__)))
@settings(max_examples=300, deadline=None)
def test_nothing_but_a_bad_request_comes_of_any_text(text: str) -> None:
    try:
        rule = parse(text)
        last = last_start(rule, FIRST, rule.last_by(ZoneInfo("Pacific/Apia")))
    except BadRequest as fault:
        assert "\n" not in str(fault)
        return
    assert last is None or last >= FIRST


def test_weekends_are_those_of_the_calendar() -> None:
    rule = parse("FREQ=WEEKLY;BYDAY=SA,SU")
    found = {s.date() for month in range(2026 * 12, 2028 * 12) for s in starts_in(rule, FIRST, month)}
    days = (FIRST.date() + timedelta(days=n) for n in range(726))
    assert found == {day for day in days if day.isoweekday() > 5 and day.year < 2028}
