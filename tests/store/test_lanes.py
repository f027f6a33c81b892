"""The queries behind fair shares, at 100,000 waiting rows: they use indexes only, and are quick."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Connection, Engine, event, text

from app.domain.deployment import Deployment
from app.integrations.system import SystemIds
from app.stack.postgres import EmbeddedPostgres
from app.store.deliveries import SqlDeliveries
from app.store.deployments import SqlDeployments
from app.store.dispatches import SqlSlots
from app.store.engine import make_engine
from app.store.reads import Reads
from tests.conftest import empty_tables

ROWS = 100_000
BIG = ("deliveries", "deployments", "dispatches")
FILL = (
    """
    INSERT INTO deliveries (id, forge, forge_delivery_id, event_header, event, body, state, received_at, due_at)
    SELECT gen_random_uuid(), 'gogs', n::text, 'push',
        jsonb_build_object('kind', 'push', 'ref', 'refs/heads/main', 'before', null, 'after', md5(n::text) || '00000000',
            'repository', jsonb_build_object('forge', 'gogs', 'id', CASE WHEN n % 1000 = 0 THEN n ELSE 1 END,
                'full_name', 'acme/shop', 'owner', 'acme', 'owner_id', 7),
            'actor', jsonb_build_object('forge', 'gogs', 'id', '2', 'login', 'alice')),
        '{}', CASE WHEN n % 2 = 0 THEN 'pending' ELSE 'planned' END, now(), now()
    FROM generate_series(1, :rows) AS n
    """,
    """
    INSERT INTO deployments (id, position, correlation_id, environment, forge, repository_id, full_name, owner, owner_id, ref,
        sha, actor_forge, actor_id, actor_login, trigger, state, created_at, updated_at, due_at)
    SELECT gen_random_uuid(), n, gen_random_uuid(), CASE WHEN n % 1000 = 0 THEN 'e' || n ELSE 'flooded' END, 'gogs', 1,
        'acme/shop', 'acme', 7, 'refs/heads/main', md5(n::text) || '00000000', 'gogs', '2', 'alice', 'push',
        CASE WHEN n <= :rows / 2 THEN 'succeeded' ELSE 'planned' END, now(), now(),
        CASE WHEN n BETWEEN :rows / 2 + 1 AND :rows / 2 + 4 THEN now() END
    FROM generate_series(1, :rows) AS n
    """,
    """
    INSERT INTO dispatches (id, deployment_id, environment, target, position, progress)
    SELECT gen_random_uuid(), id, environment, 'box', position, 'succeeded' FROM deployments WHERE state = 'succeeded'
    """,
)


@pytest.fixture(scope="module")
def crowded(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """A database in which one environment and one repository have many rows, done and waiting."""
    owner = make_engine(postgres.url("tidegate_owner"), pool_size=2)
    empty_tables(owner)
    with owner.begin() as connection:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        for statement in FILL:
            connection.execute(text(statement), {"rows": ROWS})
    with owner.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    engine = make_engine(postgres.url("tidegate_app"), pool_size=2)
    yield engine
    engine.dispose()
    empty_tables(owner)
    owner.dispose()


@contextmanager
def statements(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Record the executed statements."""
    seen: list[tuple[str, Any]] = []

    def keep(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        seen.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", keep)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", keep)


def plans(connection: Connection, seen: list[tuple[str, Any]]) -> str:
    """Return the query plan of each statement."""
    found = []
    for statement, parameters in seen:
        with closing(connection.connection.cursor()) as cursor:
            cursor.execute(f"EXPLAIN {statement}", parameters)
            found += [str(row[0]) for row in cursor.fetchall()]
    return "\n".join(found)


def flooded_at(position: int) -> Deployment:
    """The fields of a deployment that `turn` reads."""
    return cast(Deployment, SimpleNamespace(id=SystemIds().new(), environment="flooded", position=position))


NOW = datetime.now(UTC) + timedelta(days=1)
QUERIES: dict[str, Callable[[Connection], object]] = {
    "claim_pending": lambda c: SqlDeliveries(c).claim_pending(NOW, 50),
    "claim_fairly": lambda c: SqlDeliveries(c).claim_fairly(NOW, 50, newer_than=100, after=""),
    "oldest_due": lambda c: SqlDeliveries(c).oldest_due(NOW),
    "admit": lambda c: SqlDeployments(c).admit(["flooded", "e60000"], window=6, due_at=NOW),
    "lanes": lambda c: SqlDeployments(c).lanes(),
    "take_due": lambda c: SqlDeployments(c).take_due(NOW, timedelta(seconds=10), 200),
    "older_waiting": lambda c: SqlDeployments(c).older_waiting("flooded", ROWS),
    "turn, a long lane before it": lambda c: SqlDeployments(c).turn(flooded_at(ROWS // 2 + 1)),
    "last_release": lambda c: SqlDeployments(c).last_release("flooded"),
    "last_release of another commit": lambda c: SqlDeployments(c).last_release("flooded", unlike_sha="0" * 40),
    "queue_age": lambda c: Reads(c.engine).queue_age(),
    "release": lambda c: SqlSlots(c).release("flooded", SystemIds().new()),
}


def seconds_of(query: Callable[[], object]) -> float:
    began = time.perf_counter()
    query()
    return time.perf_counter() - began


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_reads_a_big_table_from_end_to_end(crowded: Engine, name: str) -> None:
    with crowded.connect() as connection:
        with statements(crowded) as seen:
            QUERIES[name](connection)
        assert seen
        told = plans(connection, seen)
        took = min(seconds_of(lambda: QUERIES[name](connection)) for _ in range(5))  # the machine may be busy at other times
        connection.rollback()
    assert [table for table in BIG if f"Seq Scan on {table}" in told] == [], told
    assert took < 0.25, f"{took:.3f} s\n{told}"  # from end to end it would be far more


def test_what_the_queries_find_is_right(crowded: Engine) -> None:
    with crowded.connect() as connection:
        lanes = SqlDeployments(connection).lanes()
        assert len(lanes) == 51 and lanes == sorted(lanes)
        admitted = SqlDeployments(connection).admit(["flooded", "e60000"], window=6, due_at=NOW)
        assert [w.environment for w in admitted] == ["flooded", "flooded", "e60000"]
        found, after = SqlDeliveries(connection).claim_fairly(NOW, 50, newer_than=0, after="gogs:1")
        assert len({d.event.repository.id for d in found if d.event}) == len(found) == 50
        rest, end = SqlDeliveries(connection).claim_fairly(NOW, 100, newer_than=0, after=after)
        assert len(rest) == 50 and end == ""
        assert SqlDeployments(connection).turn(flooded_at(ROWS // 2 + 1)).is_outrun is False
        assert SqlDeployments(connection).turn(flooded_at(ROWS // 2 - 2)).is_outrun is True
        connection.rollback()
