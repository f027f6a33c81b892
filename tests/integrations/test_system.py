"""The real clock and ids: UTC with its zone, and UUIDs that only ever grow."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from app.integrations.system import SystemClock, SystemIds, random_bytes


def test_the_time_is_utc_with_its_zone() -> None:
    now = SystemClock().now()
    assert now.utcoffset() == timedelta(0)
    assert abs(now - datetime.now(UTC)) < timedelta(seconds=5)


def test_an_id_is_a_version_7_uuid_of_this_millisecond() -> None:
    before, text, after = time.time_ns() // 10**6, SystemIds().new(), time.time_ns() // 10**6
    made = uuid.UUID(text)
    assert (str(made), made.version, made.variant) == (text, 7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= after


def test_ids_grow_as_text_and_never_repeat() -> None:
    ids = SystemIds()
    made = [ids.new() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_ids_grow_even_if_the_clock_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = SystemIds()
    first = ids.new()
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000)
    second = ids.new()
    assert second > first
    assert uuid.UUID(second).version == 7


def test_threads_never_get_the_same_id() -> None:
    ids = SystemIds()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: [ids.new() for _ in range(500)], range(16)))
    assert all(each == sorted(each) for each in made)
    assert len({one for each in made for one in each}) == 8000


def test_two_processes_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    assert len({SystemIds().new() for _ in range(1000)}) == 1000


def test_random_bytes_are_as_many_as_asked_and_never_twice_the_same() -> None:
    assert [len(random_bytes(count)) for count in (0, 12, 32)] == [0, 12, 32]
    assert len({random_bytes(32) for _ in range(100)}) == 100
