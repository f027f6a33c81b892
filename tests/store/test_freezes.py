"""Stored freezes: rows that the database itself refuses, and changes that the application may not make."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError, ProgrammingError

from app.integrations.system import SystemIds
from app.store.unit import SqlStore
from tests.pipeline.freezes import frozen_from, utc

ONCE = frozen_from("2026-12-18 15:00", 65)
WEEKLY = frozen_from("2026-12-18 15:00", 65.5, "FREQ=WEEKLY", until="2027-12-18 15:00", environment=None)


@pytest.mark.parametrize(
    "freeze", [ONCE, WEEKLY, replace(WEEKLY, until=None), replace(ONCE, lasts=timedelta(days=3660, seconds=1))]
)
def test_a_freeze_comes_back_as_it_was_kept(engine: Engine, freeze: Any) -> None:
    with SqlStore(engine).unit() as unit:
        assert unit.freezes.add(freeze)
        assert unit.freezes.all() == [freeze]
        assert not unit.freezes.add(replace(freeze, id=SystemIds().new()))


@pytest.mark.parametrize(
    "over",
    [
        {"lasts": timedelta()},
        {"lasts": timedelta(hours=-1)},
        {"until": None},
        {"until": datetime(2026, 12, 18, 16)},
        {"rule": "FREQ=DAILY", "until": datetime(2026, 12, 18, 14)},
        {"ended_by": "os:root"},
        {"ended_at": utc("2027-01-01")},
    ],
)
def test_the_database_refuses_what_is_no_freeze(engine: Engine, over: dict[str, Any]) -> None:
    with pytest.raises(IntegrityError), SqlStore(engine).unit() as unit:
        unit.freezes.add(replace(ONCE, **over))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM freezes",
        "TRUNCATE freezes",
        "UPDATE freezes SET environment = 'other'",
        "UPDATE freezes SET lasts = '1 second'",
        "UPDATE freezes SET reason = 'none'",
    ],
)
def test_what_was_frozen_stays_known_as_it_was(engine: Engine, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"), engine.begin() as connection:
        connection.execute(text(statement))


def test_those_that_are_over_are_not_read_to_decide(engine: Engine) -> None:
    with SqlStore(engine).unit() as unit:
        for name, until in (("ran-out", "2027-12-18 15:00"), ("for-ever", None)):
            unit.freezes.add(replace(frozen_from("2026-12-18 15:00", 65, "DAILY", until=until, name=name), id=SystemIds().new()))
        names = {when: [f.name for f in unit.freezes.open(utc(when), "production")] for when in ("2027-12-21", "2027-12-24")}
    assert names == {"2027-12-21": ["ran-out", "for-ever"], "2027-12-24": ["for-ever"]}
