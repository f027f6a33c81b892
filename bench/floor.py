"""The floor: the least that a durable, signed receiver must do, done by one loop without HTTP, framework or audit."""

from __future__ import annotations

import hmac
import itertools
import time
import uuid
from collections.abc import Sequence

from app.stack.scene import SECRET
from bench.rows import Sql
from bench.scenes import Site

TABLE = """
CREATE TABLE IF NOT EXISTS bench_floor (
    id uuid PRIMARY KEY, forge text NOT NULL, forge_delivery_id text NOT NULL, body bytea NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(), UNIQUE (forge, forge_delivery_id)
)"""
INSERT = "INSERT INTO bench_floor (id, forge, forge_delivery_id, body) VALUES (%s, %s, %s, %s)"
COPY = "COPY bench_floor (id, forge, forge_delivery_id, body) FROM STDIN"
LIST = "bench-floor"


def floor(site: Site, bodies: Sequence[bytes], seconds: float, batch: int) -> float:
    """Return deliveries a second: HMAC over each body, one commit for `batch` rows, one LPUSH each."""
    with site.sql() as sql:
        sql.execute(TABLE)
        given, done = itertools.cycle(bodies), 0
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            _keep(sql, site, [next(given) for _ in range(batch)])
            done += batch
        taken = time.perf_counter() - began
        sql.execute("TRUNCATE bench_floor")
    site.redis.delete(LIST)
    return done / taken


def _keep(sql: Sql, site: Site, bodies: Sequence[bytes]) -> None:
    for body in bodies:
        hmac.digest(SECRET.encode(), body, "sha256")
    rows = [(uuid.uuid4(), "gogs", str(uuid.uuid4()), body) for body in bodies]
    if len(rows) == 1:
        sql.execute(INSERT, rows[0])  # one statement, one commit
        site.redis.lpush(LIST, str(rows[0][0]))
        return
    with sql.transaction(), sql.cursor() as cursor, cursor.copy(COPY) as copy:
        for row in rows:
            copy.write_row(row)
    with site.redis.pipeline(transaction=False) as pushes:
        for row in rows:
            pushes.lpush(LIST, str(row[0]))
        pushes.execute()
