"""What a full inbox costs: the receiver's rate and the planner's time, on an empty stack and a full one in turns."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from app.pipeline.intake.plan import BATCH, plan
from app.stack.scene import Scene
from bench import rows
from bench.drive import drive
from bench.effort import Effort
from bench.figures import medians, ratio_of_pairs
from bench.pushes import pushes, write_requests
from bench.scenes import Site

SIZES = (10_000, 100_000, 1_000_000)
CONNECTIONS = 16
PLANS = 10
TABLES = ("deliveries", "audit_entries")


def measure(effort: Effort) -> dict[str, Any]:
    """Grow one inbox step by step, and measure it against one that stays empty."""
    with Site() as empty, Site() as full, empty.only_the_receivers(), full.only_the_receivers():
        push = empty.commit("the first", account=Scene.alice)
        like = full.deliver(push)
        steps, held = [], 0
        for size in SIZES[: effort.of(3, 2)]:
            with full.sql() as sql:
                rows.planned(sql, like, size - held)
            held = size
            with full.sql(superuser=True) as sql:
                rows.settle(sql)
            steps.append(_step(effort, empty, full, push) | {"rows": size, **_sizes(full)})
    return {"steps": steps, "connections": CONNECTIONS}


def _step(effort: Effort, empty: Site, full: Site, push: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, list[dict[str, float]]] = {"empty": [], "full": []}
    for number in range(effort.of(5, 2)):
        effort.noise.sample()
        pair = [("empty", empty), ("full", full)]
        for name, site in pair if number % 2 else reversed(pair):
            seen[name].append(_look(site, push, effort.of(2, 1)))
    ratios = {
        f"{what}_ratio": ratio_of_pairs([r[what] for r in seen["full"]], [r[what] for r in seen["empty"]])
        for what in ("per_second", "plan_ms")
    }
    return {name: medians(rounds) for name, rounds in seen.items()} | ratios


def _look(site: Site, push: dict[str, Any], seconds: int) -> dict[str, float]:
    """Load the receiver, then plan some of what came, in this process: milliseconds a delivery."""
    file: Path = site.folder / "requests"
    write_requests(file, pushes("/hooks/gogs", push, 5_000 * seconds))
    done = drive(site.port, file, CONNECTIONS, seconds)
    began = time.perf_counter()
    for _ in range(PLANS):
        plan(site.process.services)
    planned = time.perf_counter() - began
    with site.sql() as sql:
        rows.forget_pending(sql)
    return {"per_second": done.accepted(202) / done.seconds, "plan_ms": 1000 * planned / (PLANS * BATCH)}


def _sizes(site: Site) -> dict[str, float]:
    """Return megabytes by table, with indexes, and the indexes alone."""
    with site.sql() as sql:
        sizes = {}
        for table in TABLES:
            query = "SELECT pg_total_relation_size(%s::regclass), pg_indexes_size(%s::regclass)"
            row: Any = sql.execute(query, (table, table)).fetchone()
            sizes[f"{table}_mb"], sizes[f"{table}_indexes_mb"] = row[0] / 1e6, row[1] / 1e6
    return sizes
