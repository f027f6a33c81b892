"""Token buckets: the burst, the refill over time, a bounded memory, and no effect on other sources."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.rate import Buckets


def test_a_burst_is_taken_at_once_and_then_one_at_a_time() -> None:
    buckets = Buckets(rate=2.0, burst=3)
    assert [buckets.take("a", 0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert buckets.take("a", 0.0) == pytest.approx(0.5)
    assert buckets.take("a", 0.5) == 0.0
    assert buckets.take("a", 0.5) == pytest.approx(0.5)


def test_one_source_takes_nothing_of_another() -> None:
    buckets = Buckets(rate=1.0, burst=1)
    assert buckets.take("a", 0.0) == 0.0
    assert [buckets.take("a", 0.0) > 0 for _ in range(1000)] == [True] * 1000
    assert buckets.take("b", 0.0) == 0.0


def test_a_refusal_costs_no_token() -> None:
    buckets = Buckets(rate=1.0, burst=1)
    buckets.take("a", 0.0)
    for _ in range(100):
        assert buckets.take("a", 0.5) > 0
    assert buckets.take("a", 1.0) == 0.0


def test_made_up_sources_cost_no_memory_and_refuse_nobody() -> None:
    buckets = Buckets(rate=1.0, burst=1, most=10)
    buckets.take("a", 0.0)
    assert [buckets.take(n, 0.0) for n in range(1000)] == [0.0] * 1000
    assert len(buckets) == 10
    assert buckets.take("a", 0.0) == 0.0  # forgotten, so full again


def test_a_clock_that_is_set_back_gives_nothing_and_locks_nobody_out() -> None:
    buckets = Buckets(rate=1.0, burst=1)
    assert buckets.take("a", 1000.0) == 0.0
    assert buckets.take("a", 0.0) == pytest.approx(1.0)
    assert buckets.take("a", 1.0) == 0.0


@given(st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=200))
def test_never_more_than_the_burst_and_what_time_gave(pauses: list[float]) -> None:
    buckets, now, taken = Buckets(rate=3.0, burst=5), 0.0, 0
    for pause in pauses:
        now += pause
        taken += buckets.take("a", now) == 0.0
    assert taken <= 5 + 3.0 * now + 1e-6
