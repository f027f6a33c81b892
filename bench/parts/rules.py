"""What more policies, people and environments cost: pipelines a second, one of them growing at a time."""

from __future__ import annotations

import statistics
from typing import Any

from bench.drain import Fleet, drain, fleet
from bench.effort import Effort
from bench.fleet import Rules, make_branches
from bench.scenes import Site

COUNTS = (10, 100, 1_000)
KINDS = ("policies", "people", "environments")
BACKLOG = 100


def measure(effort: Effort) -> dict[str, Any]:
    """Work off the same backlog under each set of rules, set after set and then all again; medians by set."""
    counts = COUNTS[::2] if effort.quick else COUNTS
    sets = [(kind, count) for kind in KINDS for count in counts]
    rates: dict[tuple[str, int], list[float]] = {each: [] for each in sets}
    with Site() as site:
        rules = Rules(site)
        made = fleet(site, effort.of(BACKLOG, 40))
        for number in range(effort.of(2, 1)):
            for kind, count in sets if number % 2 == 0 else reversed(sets):
                effort.noise.sample()
                rules.write(made.branches, **_asked(kind, count))
                rates[kind, count].append(_drained(made, f"{count} {kind}, round {number}"))
    cells = [
        {"kind": kind, "count": count, "per_second": statistics.median(found), "rounds": found}
        for (kind, count), found in rates.items()
    ]
    return {"cells": cells, "backlog": made.branches}


def _asked(kind: str, count: int) -> dict[str, Any]:
    """Say how many of each: one of them grows, the others stay at the least."""
    numbers = {each: COUNTS[0] for each in KINDS} | {kind: count}
    return {"idle": numbers["environments"], "people": numbers["people"], "policies": numbers["policies"]}


def _drained(made: Fleet, message: str) -> float:
    """Let every process read the new rules (a push through all stages makes them), then measure; RuntimeError if it drags on."""
    site = made.site
    site.until_ended(site.deliver(site.commit(message, account=site.alice)))
    made.commits = make_branches(site, made.branches, 1)
    ran = drain(made, made.branches, most_seconds=90)
    if ran["states"] != {"succeeded": made.branches}:
        raise RuntimeError(f"{message}: not all succeeded: {ran['states']}")
    return float(ran["per_second"])
