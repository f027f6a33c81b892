"""What more policies, people and environments cost: pipelines a second, one of them growing at a time."""

from __future__ import annotations

from typing import Any

from bench.drain import drain, fleet
from bench.effort import Effort
from bench.fleet import Rules, make_branches
from bench.parts.latency import ended_deployment
from bench.scenes import Site

COUNTS = (10, 100, 1_000)
KINDS = ("policies", "people", "environments")
BACKLOG = 100


def measure(effort: Effort) -> dict[str, Any]:
    """Work off the same backlog under each set of rules; the smallest set comes first, between and last."""
    backlog = effort.of(BACKLOG, 40)
    counts = COUNTS if not effort.quick else COUNTS[::2]
    with Site() as site:
        rules = Rules(site)
        made = fleet(site, backlog)
        cells = []
        for kind in KINDS:
            for count in counts:
                effort.noise.sample()
                asked = {k: COUNTS[0] for k in KINDS} | {kind: count}
                rules.write(backlog, idle=asked["environments"], people=asked["people"], policies=asked["policies"])
                _take_over(site)
                made.commits = make_branches(site, backlog, 1)
                ran = drain(made, backlog, most_seconds=60)
                cells.append({"kind": kind, "count": count, "per_second": ran["per_second"], "states": ran["states"]})
    return {"cells": cells, "backlog": backlog}


def _take_over(site: Site) -> None:
    """Let every process read the new rules before the clock starts: a push through all stages makes them."""
    ended_deployment(site, site.deliver(site.commit("new rules", account=site.alice)))
