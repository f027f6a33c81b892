"""A capacity model: Little's law and utilisation, from measured service times and stated assumptions. Pure.

A resource that a delivery holds for `s` seconds and that gets `rate` of them a second is busy `rate * s` of the time
(utilisation law); `L = rate * W` of them are inside at a time (Little). Queues grow without bound as utilisation nears
1, so a process is counted as full at `FULL`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FULL = 0.7
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What an installation does. `slow_target` is how long a target holds a deployer's thread while it is started."""

    deliveries_a_day: float = 20.0  # by repository
    deploying: float = 0.25  # share of deliveries that become a pipeline
    peak: float = 10.0  # the busiest minute against the average
    deployer_threads: int = 8
    slow_target: float = 5.0


@dataclass(frozen=True, slots=True)
class Need:
    """One resource under a load. `units` is how many of `unit` are busy; `needed` how many keep below FULL."""

    name: str
    unit: str
    units: float
    needed: int
    breaks_at: float  # repositories at which one unit is full
    remedy: str


REPOSITORIES = (1_000, 10_000, 100_000)


def rates(repositories: int, given: Assumptions) -> tuple[float, float]:
    """Return deliveries and pipelines a second in the busiest minute."""
    deliveries = repositories * given.deliveries_a_day * given.peak / DAY
    return deliveries, deliveries * given.deploying


def services(parts: Mapping[str, Any], given: Assumptions) -> list[tuple[str, str, float, float, float, str]]:
    """List the resources: name, unit, how much of a unit a delivery and a pipeline take for a second, at which
    share it is full, and the remedy."""
    cost = parts["cost"]["found"]
    delivery, pipeline = cost["a_delivery"], cost["a_pipeline"]
    floor = next(c["floor"] for c in parts["receiver"]["found"]["cells"] if c["connections"] == 1)
    commit = 1 / floor["one_row"]
    stages = parts["latency"]["found"]["stages_ms"]
    held = (stages["dispatch_deploy"] + stages["confirm_deploy"]) / 1000
    consumer = "more of them: they share nothing but queue and database"
    return [
        ("receiver", "process", delivery["cpu:web"], 0.0, FULL, "a second receiver behind any HTTP load balancer"),
        ("worker", "process", 0.0, pipeline["cpu:worker"], FULL, consumer),
        ("deployer", "process", 0.0, pipeline["cpu:deployer"], FULL, consumer),
        ("deployer, targets as measured", "thread", 0.0, held, FULL, "more deployer processes, or `--concurrency`"),
        (
            "deployer, slow targets",
            "thread",
            0.0,
            held + given.slow_target,
            FULL,
            "a queue and a pool of their own for slow targets",
        ),
        (
            "Postgres, processor",
            "core",
            delivery["cpu:postgres"],
            pipeline["cpu:postgres"],
            FULL,
            "a larger machine; console and reports to a read replica",
        ),
        (
            "Postgres, commits one after the other",
            "log writer",
            delivery["commits"] * commit,
            pipeline["commits"] * commit,
            FULL,
            "faster log disk; commits of several connections are flushed together, so this is an upper bound",
        ),
        (
            "Redis",
            "core",
            delivery["cpu:redis"],
            pipeline["cpu:redis"],
            FULL,
            "RabbitMQ quorum queues or Redis Cluster, by Celery's transports",
        ),
    ]


def needs(parts: Mapping[str, Any], repositories: int, given: Assumptions) -> list[Need]:
    """Reckon what an installation of this size keeps busy in its busiest minute."""
    deliveries, pipelines = rates(repositories, given)
    found = []
    for name, unit, a_delivery, a_pipeline, full, remedy in services(parts, given):
        units = deliveries * a_delivery + pipelines * a_pipeline
        breaks_at = repositories * full * (given.deployer_threads if unit == "thread" else 1) / units if units else math.inf
        found.append(Need(name, unit, units, max(1, math.ceil(units / full)), breaks_at, remedy))
    return found


def storage(parts: Mapping[str, Any], repositories: int, given: Assumptions) -> dict[str, float]:
    """Return rows and gigabytes a year of the inbox and its audit entries, from the largest inbox that was measured."""
    largest = parts["inbox"]["found"]["steps"][-1]
    rows = repositories * given.deliveries_a_day * 365
    megabytes = (largest["deliveries_mb"] + largest["audit_entries_mb"]) / largest["rows"]
    return {"rows_a_year": rows, "gigabytes_a_year": rows * megabytes / 1000}


def first_to_break(parts: Mapping[str, Any], given: Assumptions) -> list[Need]:
    """Order the resources by the number of repositories at which one unit of each is full."""
    return sorted(needs(parts, REPOSITORIES[0], given), key=lambda need: need.breaks_at)


def can_be_reckoned(parts: Mapping[str, Any]) -> bool:
    """Tell whether everything that the model needs has been measured."""
    return {"cost", "receiver", "latency", "inbox"} <= set(parts)
