"""Order statistics, spelled once: no average hides a slow answer."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that at least `share` (0..1) of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values, no percentile")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def summary(values: Sequence[float]) -> dict[str, float]:
    """Tell how values lie: how many, p50, p99, least and most."""
    return {
        "n": len(values),
        "p50": statistics.median(values),
        "p99": percentile(values, 0.99),
        "least": min(values),
        "most": max(values),
    }


def spread(values: Sequence[float]) -> float:
    """Return (most - least) / median: how far apart repetitions of the same work lie."""
    return (max(values) - min(values)) / statistics.median(values)


def medians(rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the median over the rounds of every number that all rounds have."""
    names = [n for n, v in rounds[0].items() if isinstance(v, int | float) and not isinstance(v, bool)]
    return {name: statistics.median(r[name] for r in rounds) for name in names if all(name in r for r in rounds)}


def totals(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up counts by name."""
    whole: dict[str, int] = {}
    for each in counts:
        for name, count in each.items():
            whole[name] = whole.get(name, 0) + count
    return whole


def ratio_of_pairs(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of ours/theirs, round by round: what slows both rounds of a pair cancels out."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
