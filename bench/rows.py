"""Rows in bulk, written as the receiver would have written them: copies of a delivery that it really took."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg

Sql = psycopg.Connection[tuple[object, ...]]

_FRESH = {
    "id": "uuidv7()",
    "position": "nextval('positions')",
    "forge_delivery_id": "gen_random_uuid()::text",
    "received_at": "now()",
    "due_at": "now()",
    "tries": "0",
}


def pending(sql: Sql, like: str, count: int, branches: int, commits: list[str]) -> None:
    """Add `count` deliveries that wait to be planned, round after round over the branches b0, b1, …

    With a commit for each delivery, each brings its own; with fewer, each round brings the next.
    """
    number = "n" if len(commits) == count else "n / %(branches)s"
    event = (
        "jsonb_set(jsonb_set(event, '{ref}', to_jsonb('refs/heads/b' || (n %% %(branches)s))), "
        f"'{{after}}', to_jsonb((%(commits)s::text[])[1 + {number}]))"
    )
    more = {"event": event, "state": "'pending'", "reason": "NULL"}
    _copy(sql, like, count, more, {"branches": branches, "commits": commits})


def planned(sql: Sql, like: str, count: int) -> None:
    """Add `count` deliveries that are done with."""
    _copy(sql, like, count, {"state": "'ignored'", "reason": "'no environment deploys it'"}, {})


def _copy(sql: Sql, like: str, count: int, changes: Mapping[str, str], values: Mapping[str, Any]) -> None:
    """Copy the delivery `like` and its first audit entry, in one transaction."""
    given = {"like": like, "count": count, **values}
    delivery = _selected(sql, "deliveries", {**_FRESH, **changes})
    fresh = {"id": "uuidv7()", "at": "now()", "delivery_id": "new.id", "correlation_id": "new.id"}
    entry = _selected(sql, "audit_entries", fresh)
    sql.execute(
        f"WITH new AS (INSERT INTO deliveries ({', '.join(delivery)}) SELECT {', '.join(delivery.values())} "
        "FROM deliveries, generate_series(0, %(count)s - 1) AS n WHERE id = %(like)s RETURNING id) "
        f"INSERT INTO audit_entries ({', '.join(entry)}) SELECT {', '.join(entry.values())} FROM new, "
        "(SELECT * FROM audit_entries WHERE delivery_id = %(like)s ORDER BY seq LIMIT 1) AS first",
        given,
    )


def _selected(sql: Sql, table: str, changes: Mapping[str, str]) -> dict[str, str]:
    """Say for each column of a table what it is filled with: what `changes` say, else its own value."""
    query = (
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s "
        "AND is_identity = 'NO' AND is_generated = 'NEVER' ORDER BY ordinal_position"
    )
    names = [str(row[0]) for row in sql.execute(query, (table,))]
    return {name: changes.get(name, f'"{name}"') for name in names}


def settle(superuser: Sql) -> None:
    """Clean up and write out what bulk writing has left, so that it does not happen while something is measured."""
    for table in ("deliveries", "audit_entries"):
        superuser.execute(f"VACUUM (ANALYZE) {table}")
    superuser.execute("CHECKPOINT")


def count(sql: Sql, table: str, since: datetime | None = None, column: str = "received_at") -> int:
    """Count rows, all or since a moment."""
    where = f" WHERE {column} >= %s" if since else ""
    row = sql.execute(f"SELECT count(*) FROM {table}{where}", (since,) if since else ()).fetchone()
    return int(str(row[0])) if row else 0


def forget_pending(sql: Sql) -> None:
    """Take away what a load has left waiting."""
    sql.execute("DELETE FROM deliveries WHERE state = 'pending'")


def rows_per_commit(sql: Sql, since: datetime) -> float:
    """Tell how many deliveries shared a commit, since a moment: the rows by the transactions that wrote them."""
    row = sql.execute(
        "SELECT count(*)::float / nullif(count(DISTINCT xmin::text), 0) FROM deliveries WHERE received_at >= %s", (since,)
    ).fetchone()
    return float(str(row[0])) if row and row[0] is not None else 0.0
