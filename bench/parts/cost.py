"""What one delivery and one pipeline cost: processor time by process, commits, rows, log bytes, Redis commands."""

from __future__ import annotations

import time
from typing import Any

from app.store.queue.wakes import PLAN, QUEUES
from bench import counters
from bench.drain import drain, fleet
from bench.drive import drive
from bench.effort import Effort
from bench.pushes import pushes, write_requests
from bench.scenes import Site

CONNECTIONS = 16
SETTLE = 2.0  # seconds in which Postgres' backends tell what they have done


def measure(effort: Effort) -> dict[str, Any]:
    """Measure deliveries (workers held still), then pipelines, then the idle stack; all on one."""
    with Site() as site:
        worked = fleet(site, effort.of(300, 60))
        push = site.commit("cost", account=site.alice)
        deliveries = _deliveries(effort, site, push)
        pipelines = _pipelines(effort, worked)
        idle = _idle(effort, site)
    return {"a_delivery": deliveries, "a_pipeline": pipelines, "an_idle_second": idle, "connections": CONNECTIONS}


def _deliveries(effort: Effort, site: Site, push: dict[str, Any]) -> dict[str, float]:
    number = effort.of(5_000, 1_000)
    file = site.folder / "requests"
    with site.only_the_receivers():
        write_requests(file, pushes("/hooks/gogs", push, number // 5))
        drive(site.port, file, CONNECTIONS)  # warm
        write_requests(file, pushes("/hooks/gogs", push, number))
        effort.noise.sample()
        before = _read(site)
        done = drive(site.port, file, CONNECTIONS)
        cost = counters.each(before, _read(site), number)
        with site.sql() as sql:
            sql.execute("DELETE FROM deliveries WHERE state = 'pending'")
        site.redis.delete(QUEUES[PLAN])  # the wakes for them
    return cost | {"per_second": number / done.seconds}


def _pipelines(effort: Effort, worked: Any) -> dict[str, float]:
    effort.noise.sample()
    before = _read(worked.site)
    ran = drain(worked, worked.branches, most_seconds=120)
    return counters.each(before, _read(worked.site), ran["ended"]) | {"per_second": ran["per_second"]}


def _idle(effort: Effort, site: Site) -> dict[str, float]:
    seconds = effort.of(10, 3)
    before = _read(site)
    time.sleep(seconds)
    return counters.each(before, _read(site), seconds)


def _read(site: Site) -> dict[str, float]:
    time.sleep(SETTLE)
    return counters.read(site)
