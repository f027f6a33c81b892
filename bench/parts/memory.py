"""Memory of every process when it has started and when it has worked, and the receiver's over a long run."""

from __future__ import annotations

from typing import Any

from bench.drain import drain, fleet
from bench.drive import drive
from bench.effort import Effort
from bench.figures import totals
from bench.processes import proportional, resident
from bench.pushes import pushes, write_requests
from bench.rows import count, forget_pending
from bench.scenes import RECEIVER, Site

CONNECTIONS = 64
WARM = 40_000, 2_000  # deliveries after which the receiver has taken what it needs, and its collector has come by
STEP = 10_000
PIPELINES = 200


def measure(effort: Effort) -> dict[str, Any]:
    """Send deliveries by the ten thousand and look at the receiver after each; count that every 202 is a row."""
    total = 1_000_000 if effort.soak else effort.of(100_000, 10_000)
    with Site() as site:
        at_start = proportional(site.roots())
        worked = fleet(site, effort.of(PIPELINES, 40))
        drain(worked, worked.branches, most_seconds=90)
        after_pipelines = proportional(site.roots())
        with site.only_the_receivers():
            run = _receive(effort, site, total)
        after_all = proportional(site.roots())
    return {"at_start_mb": at_start, "after_pipelines_mb": after_pipelines, "after_all_mb": after_all, **run}


def _receive(effort: Effort, site: Site, total: int) -> dict[str, Any]:
    push = site.commit("memory", account=site.alice)
    root = site.roots()[RECEIVER]
    warm = effort.of(*WARM)
    _send(site, push, warm, first=0)
    seen, statuses = [{"deliveries": 0, "mb": resident(root)}], []
    step = min(STEP, total // 5)
    rates = []
    for done in range(step, total + 1, step):
        effort.noise.sample()
        answers, rate = _send(site, push, step, first=warm + done)
        statuses.append(answers)
        rates.append(rate)
        seen.append({"deliveries": done, "mb": resident(root)})
    growth = seen[-1]["mb"] / seen[0]["mb"] - 1
    return {"receiver": seen, "growth": growth, "statuses": totals(statuses), "rates": [round(r, 1) for r in rates]}


def _send(site: Site, push: dict[str, Any], number: int, *, first: int) -> tuple[dict[str, int], float]:
    """Send `number` deliveries; raises RuntimeError unless each is accepted and kept."""
    file = site.folder / "requests"
    write_requests(file, pushes("/hooks/gogs", push, number, first))
    with site.sql() as sql:
        forget_pending(sql)
        before = count(sql, "deliveries")
        done = drive(site.port, file, CONNECTIONS)
        kept = count(sql, "deliveries") - before
    if not done.accepted(202) == kept == number:
        raise RuntimeError(f"{number} sent, {done.statuses} answered, {kept} kept")
    return done.statuses, number / done.seconds
