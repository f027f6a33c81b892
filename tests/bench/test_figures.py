"""Order statistics of the benchmark."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import medians, percentile, ratio_of_pairs, spread, summary, totals

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200)


def test_percentile_takes_the_nearest_rank() -> None:
    hundred = [float(n) for n in range(1, 101)]
    assert [percentile(hundred, share) for share in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([1.0, 2.0], 0.99) == 2.0


@given(NUMBERS, st.floats(0.01, 1.0))
def test_a_percentile_is_not_exceeded_by_its_share_of_the_values(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(v <= found for v in values) >= share * len(values) - 1e-9
    assert sum(v < found for v in values) < share * len(values)


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_summary_tells_how_values_lie() -> None:
    assert summary([3.0, 1.0, 2.0]) == {"n": 3, "p50": 2.0, "p99": 3.0, "least": 1.0, "most": 3.0}


def test_spread_is_relative_to_the_median() -> None:
    assert spread([90.0, 100.0, 120.0]) == pytest.approx(0.3)


def test_medians_are_taken_of_numbers_that_every_round_has() -> None:
    first: dict[str, Any] = {"rate": 1, "tool": "wrk", "flag": True, "once": 5}
    rounds = [first, {"rate": 9, "tool": "wrk", "flag": True}, {"rate": 4}]
    assert medians(rounds) == {"rate": 4}


def test_what_slows_both_rounds_of_a_pair_cancels_out() -> None:
    assert ratio_of_pairs([100, 50, 10], [200, 100, 20]) == 0.5


def test_totals_add_up_by_name() -> None:
    assert totals([{"202": 3}, {"202": 4, "429": 1}]) == {"202": 7, "429": 1}
