"""Let the stack work off a backlog, and count what it does a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench import rows
from bench.fleet import Rules, make_branches
from bench.scenes import Site

LOOK_EVERY = 0.25


@dataclass
class Fleet:
    """A site with as many environments as branches, and one push that has been through, to copy."""

    site: Site
    branches: int
    commits: list[str]
    like: str


def fleet(site: Site, branches: int, commits: int = 1) -> Fleet:
    """Make environments and branches, and push once to warm everything up."""
    Rules(site).write(branches)
    push = site.commit("the first of all", account=site.alice)
    made = make_branches(site, branches, commits + 1)
    warm = site.deliver(push | {"ref": "refs/heads/b0", "after": made[0]})
    site.until_ended(warm)
    return Fleet(site, branches, made[1:], warm)


def drain(
    fleet: Fleet, count: int, *, most_seconds: float, commits: list[str] | None = None, then: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Put `count` deliveries into the inbox while everything stands still, let go, and measure to the end or the limit.

    `then` is called when everything has been let go.
    """
    site = fleet.site
    with site.sql() as sql:
        site.hold()
        rows.pending(sql, fleet.like, count, fleet.branches, commits or fleet.commits)
        site.wake()
        moment: Any = sql.execute("SELECT clock_timestamp()").fetchone()
        began, since = time.perf_counter(), moment[0]
        site.release()
        then()
        while time.perf_counter() - began < most_seconds:
            time.sleep(LOOK_EVERY)
            if _is_drained(sql, since, count):
                break
        told = _counts(sql, since)
        taken = told["ended_after"] if told["ended"] >= count else time.perf_counter() - began
    return {
        "waiting": count,
        "seconds": taken,
        "per_second": told["ended"] / taken,
        "stages_per_second": told["stages"] / taken,
        **told,
    }


def _is_drained(sql: rows.Sql, since: datetime, count: int) -> bool:
    query = "SELECT count(*) FROM deployments WHERE created_at >= %s AND due_at IS NULL"
    row: Any = sql.execute(query, (since,)).fetchone()
    return int(row[0]) >= count


def _counts(sql: rows.Sql, since: datetime) -> dict[str, Any]:
    query = (
        "SELECT state, count(*), extract(epoch FROM max(updated_at) - %s), count(due_at) "
        "FROM deployments WHERE created_at >= %s GROUP BY state"
    )
    found: list[Any] = list(sql.execute(query, (since, since)))
    stages: Any = sql.execute("SELECT count(*) FROM stages WHERE finished_at >= %s", (since,)).fetchone()
    ended = [row for row in found if row[3] == 0]
    return {
        "states": {row[0]: row[1] for row in found},
        "planned": sum(row[1] for row in found),
        "ended": sum(row[1] for row in ended),
        "ended_after": max((float(row[2]) for row in ended), default=0.0),
        "stages": stages[0],
    }
