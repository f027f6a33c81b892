"""The same work by one, two and four pairs of worker and deployer, and by one and two receivers."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from bench.drain import Fleet, drain, fleet
from bench.drive import Driver
from bench.effort import Effort
from bench.fleet import make_branches
from bench.pushes import pushes, write_requests
from bench.rows import forget_pending
from bench.scenes import CONSUMERS, Site

PAIRS = (1, 2, 4)
CONNECTIONS = 64
ROOM = 4_000
PATIENCE = 90


def measure(effort: Effort) -> dict[str, Any]:
    """Measure deliveries a second by one receiver and by two in turns, then pipelines a second as workers join."""
    with Site() as site:
        worked = fleet(site, effort.of(300, 60))
        receivers = _receivers(effort, site)
        pairs = [_pairs(effort, worked, count) for count in PAIRS]
    return {"pairs": pairs, "receivers": receivers, "connections": CONNECTIONS, "backlog": worked.branches}


def _pairs(effort: Effort, worked: Fleet, count: int) -> dict[str, Any]:
    site = worked.site
    while len(site.consumers()) < count * len(CONSUMERS):
        site.add(CONSUMERS, len(site.consumers()) // len(CONSUMERS) + 1)
    site.until_consuming(count * len(CONSUMERS))
    rates = []
    for _ in range(effort.of(2, 1)):
        effort.noise.sample()
        worked.commits = make_branches(site, worked.branches, 1)
        rates.append(drain(worked, worked.branches, most_seconds=PATIENCE)["per_second"])
    return {"pairs": count, "per_second": statistics.median(rates), "rounds": rates}


def _receivers(effort: Effort, site: Site) -> list[dict[str, Any]]:
    push, seconds = site.commit("scaling", account=site.alice), effort.of(3, 1)
    second = site.add_receiver(2)
    rates: dict[int, list[float]] = {1: [], 2: []}
    with site.only_the_receivers():
        _together(site, [second], push, 1)  # warm
        for _ in range(effort.of(3, 1)):
            effort.noise.sample()
            rates[1].append(_together(site, [site.port], push, seconds))
            rates[2].append(_together(site, [site.port, second], push, seconds))
    return [{"receivers": n, "per_second": statistics.median(found), "rounds": found} for n, found in rates.items()]


def _together(site: Site, ports: list[int], push: dict[str, Any], seconds: int) -> float:
    """Share the connections out among receivers; return deliveries accepted a second by all."""
    files: list[Path] = []
    for port in ports:
        files.append(site.folder / f"requests-{port}")
        write_requests(files[-1], pushes("/hooks/gogs", push, ROOM * seconds))
    share = CONNECTIONS // len(ports)
    loads = [Driver(port, file, share, seconds).start() for port, file in zip(ports, files, strict=True)]
    done = [load.finish() for load in loads]
    with site.sql() as sql:
        forget_pending(sql)
    return sum(each.accepted(202) / each.seconds for each in done)
