"""Pipelines a second through all five stages, as the backlog grows from a hundred to a hundred thousand."""

from __future__ import annotations

from typing import Any

from bench.drain import drain, fleet
from bench.effort import Effort
from bench.fleet import make_own_commits
from bench.scenes import Site

SIZES = (100, 1_000, 10_000, 100_000)
ENVIRONMENTS = 1_000
HEADLINE = 300
PATIENCE = 120


def measure(effort: Effort) -> dict[str, Any]:
    """Measure each size on a stack of its own; the larger ones within a window, the smaller ones to their end."""
    window = effort.of(30, 10)
    growth = []
    environments = effort.of(ENVIRONMENTS, 200)
    for size in SIZES[: effort.of(4, 3)]:
        effort.noise.sample()
        most = window if size > environments else PATIENCE
        with Site() as site:
            growth.append(drain(fleet(site, environments, -(-size // environments)), size, most_seconds=most))
    return {"growth": growth, "environments": environments, "window": window, **_one_each(effort)}


def _one_each(effort: Effort) -> dict[str, Any]:
    """Measure one push an environment twice: with a commit that the mirror holds, and with one to fetch each."""
    count = effort.of(HEADLINE, 60)
    with Site() as site:
        made = fleet(site, count)
        effort.noise.sample()
        known = drain(made, count, most_seconds=PATIENCE)
        own = make_own_commits(site, count)
        effort.noise.sample()
        return {"known_commit": known, "own_commits": drain(made, count, most_seconds=PATIENCE, commits=own)}
