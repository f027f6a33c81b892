"""The capacity model, on figures that can be reckoned by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bench.model import Assumptions, can_be_reckoned, first_to_break, needs, rates, storage

GIVEN = Assumptions(deliveries_a_day=86.4, deploying=0.5, peak=10, deployer_threads=8, slow_threads=32, slow_target=4.9)
COSTS = {"cpu:web": 0.0, "cpu:worker": 0.0, "cpu:deployer": 0.0, "cpu:postgres": 0.0, "cpu:redis": 0.0, "commits": 0.0}
PARTS: dict[str, Any] = {
    "cost": {
        "found": {
            "a_delivery": COSTS | {"cpu:web": 0.001, "cpu:postgres": 0.0005, "commits": 0.5},
            "a_pipeline": COSTS | {"cpu:worker": 0.03, "cpu:deployer": 0.02, "cpu:postgres": 0.01, "commits": 20.0},
        }
    },
    "receiver": {
        "found": {"cells": [{"connections": 16, "floor": {"one_row": 1}}, {"connections": 1, "floor": {"one_row": 1_000}}]}
    },
    "latency": {"found": {"stages_ms": {"dispatch_deploy": 80.0, "confirm_deploy": 20.0}}},
    "inbox": {"found": {"steps": [{"rows": 1_000, "deliveries_mb": 3.0, "audit_entries_mb": 1.0}]}},
}


def by_name(repositories: int) -> dict[str, Any]:
    return {need.service.name: need for need in needs(PARTS, repositories, GIVEN)}


def test_rates_are_those_of_the_busiest_minute() -> None:
    assert rates(1_000, GIVEN) == pytest.approx((10.0, 5.0))


def test_a_resource_is_busy_for_rate_times_service_time() -> None:
    found = by_name(1_000)
    assert found["receiver"].units == pytest.approx(10 * 0.001)
    assert found["worker"].units == pytest.approx(5 * 0.03)
    assert found["Postgres, processor"].units == pytest.approx(10 * 0.0005 + 5 * 0.01)
    assert found["Postgres, commits one after the other"].units == pytest.approx((10 * 0.5 + 5 * 20) / 1_000)


def test_threads_inside_follow_littles_law() -> None:
    found = by_name(1_000)
    assert found["deployer, targets as measured"].units == pytest.approx(5 * 0.1)
    assert found["slow, if all targets are slow"].units == pytest.approx(5 * (0.1 + 4.9))


def test_needed_keeps_each_below_full() -> None:
    found = by_name(100_000)
    assert found["worker"].units == pytest.approx(15.0)
    assert found["worker"].needed == math.ceil(15.0 / 0.7)
    assert by_name(10)["worker"].needed == 1


def test_one_process_is_full_at_its_share_whatever_size_was_asked_for() -> None:
    for size in (10, 1_000, 100_000):
        assert by_name(size)["worker"].breaks_at == pytest.approx(1_000 * 0.7 / 0.15)
    assert by_name(1_000)["deployer, targets as measured"].breaks_at == pytest.approx(1_000 * 0.7 * 8 / 0.5)
    assert by_name(1_000)["slow, if all targets are slow"].breaks_at == pytest.approx(1_000 * 0.7 * 32 / 25)


def test_the_first_to_break_comes_first_and_what_is_never_used_last() -> None:
    order = first_to_break(PARTS, GIVEN)
    assert order[0].service.name == "slow, if all targets are slow"
    assert order[-1].service.name == "Redis"
    assert order[-1].breaks_at == math.inf


def test_storage_grows_with_rows() -> None:
    kept = storage(PARTS, 1_000, GIVEN)
    assert kept["rows_a_year"] == pytest.approx(1_000 * 86.4 * 365)
    assert kept["gigabytes_a_year"] == pytest.approx(1_000 * 86.4 * 365 * 0.004 / 1_000)


def test_it_is_not_reckoned_from_half_of_the_figures() -> None:
    assert can_be_reckoned(PARTS)
    assert not can_be_reckoned({name: part for name, part in PARTS.items() if name != "cost"})
