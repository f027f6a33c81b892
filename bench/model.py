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
LOG, THREAD = "log writer", "thread"
MORE = "more of them: they share nothing but queue and database"
LARGER = "a larger machine; console and reports to a read replica"
MORE_THREADS = "more deployer processes, or `TIDEGATE_DEPLOYER_THREADS`"
WIDER = "more `slow` processes, or `TIDEGATE_SLOW_THREADS`"
OTHERS = "RabbitMQ quorum queues or Redis Cluster, by Celery's transports"
FASTER = "a faster log disk; Postgres flushes the commits of several connections together, so it breaks later than this"


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What an installation does. `slow_target` is how long a slow target holds a thread of `slow`."""

    deliveries_a_day: float = 20.0  # by repository
    deploying: float = 0.25  # share of deliveries that become a pipeline
    peak: float = 10.0  # the busiest minute against the average
    deployer_threads: int = 8
    slow_threads: int = 32
    slow_target: float = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """One resource: how much of a `unit` a delivery and a pipeline take for a second, and what to do when it is full.

    `there`: how many units there are of it to begin with.
    """

    name: str
    unit: str
    a_delivery: float
    a_pipeline: float
    remedy: str
    there: int = 1


@dataclass(frozen=True, slots=True)
class Need:
    """A resource under a load: how many units are busy, how many keep below FULL, at how many repositories one is full."""

    service: Service
    units: float
    needed: int
    breaks_at: float


REPOSITORIES = (1_000, 10_000, 100_000)


def rates(repositories: int, given: Assumptions) -> tuple[float, float]:
    """Return deliveries and pipelines a second in the busiest minute."""
    deliveries = repositories * given.deliveries_a_day * given.peak / DAY
    return deliveries, deliveries * given.deploying


def services(parts: Mapping[str, Any], given: Assumptions) -> list[Service]:
    """List the resources and what a delivery and a pipeline take of each."""
    cost = parts["cost"]["found"]
    delivery, pipeline = cost["a_delivery"], cost["a_pipeline"]
    commit = 1 / next(c["floor"]["one_row"] for c in parts["receiver"]["found"]["cells"] if c["connections"] == 1)
    stages = parts["latency"]["found"]["stages_ms"]
    held = (stages["dispatch_deploy"] + stages["confirm_deploy"]) / 1000
    return [
        Service("receiver", "process", delivery["cpu:web"], 0.0, "a second receiver behind any HTTP load balancer"),
        Service("worker", "process", 0.0, pipeline["cpu:worker"], MORE),
        Service("deployer", "process", 0.0, pipeline["cpu:deployer"], MORE),
        Service("deployer, targets as measured", THREAD, 0.0, held, MORE_THREADS, given.deployer_threads),
        Service("slow, if all targets are slow", THREAD, 0.0, held + given.slow_target, WIDER, given.slow_threads),
        Service("Postgres, processor", "core", delivery["cpu:postgres"], pipeline["cpu:postgres"], LARGER),
        Service("Postgres, commits one after the other", LOG, delivery["commits"] * commit, pipeline["commits"] * commit, FASTER),
        Service("Redis", "core", delivery["cpu:redis"], pipeline["cpu:redis"], OTHERS),
    ]


def needs(parts: Mapping[str, Any], repositories: int, given: Assumptions) -> list[Need]:
    """Reckon what an installation of this size keeps busy in its busiest minute."""
    deliveries, pipelines = rates(repositories, given)
    found = []
    for service in services(parts, given):
        units = deliveries * service.a_delivery + pipelines * service.a_pipeline
        breaks_at = repositories * FULL * service.there / units if units else math.inf
        found.append(Need(service, units, max(1, math.ceil(units / FULL)), breaks_at))
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
