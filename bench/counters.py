"""What Postgres and Redis have done so far, to be taken before and after."""

from __future__ import annotations

from typing import Any

from bench.processes import cpu_seconds
from bench.scenes import Site


def read(site: Site) -> dict[str, float]:
    """Read transactions, rows, log bytes, Redis commands, and each process's seconds (`cpu:NAME`)."""
    with site.sql(superuser=True) as sql:
        sql.execute("SELECT pg_stat_force_next_flush()")
        rows: Any = sql.execute(
            "SELECT xact_commit, tup_inserted, tup_updated, pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') "
            "FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    commits, inserted, updated, wal = (float(value) for value in rows)
    told: Any = site.redis.info()
    cpu = {f"cpu:{name}": seconds for name, seconds in cpu_seconds(site.roots()).items()}
    counted = {"commits": commits, "inserted": inserted, "updated": updated, "wal_bytes": wal}
    return counted | {"redis_commands": float(told["total_commands_processed"])} | cpu


def each(before: dict[str, float], after: dict[str, float], count: int) -> dict[str, float]:
    """Return what one of `count` has cost."""
    return {name: (after[name] - before[name]) / count for name in before}
