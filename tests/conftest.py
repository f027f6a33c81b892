"""Real servers for all tests: one embedded Postgres and one embedded Redis a run; every test gets empty tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from app.cli.demo_scene import free_port
from app.stack.postgres import EmbeddedPostgres
from app.stack.redis import EmbeddedRedis
from app.store.metadata import metadata
from app.store.migrate import upgrade
from app.store.session import make_engine


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A migrated Postgres of our own."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), free_port())
    server.start()
    upgrade(server.url("tidegate_owner"), server.url("tidegate_app"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis of our own."""
    server = EmbeddedRedis(tmp_path_factory.mktemp("redis"), free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def _engines(postgres: EmbeddedPostgres) -> Iterator[tuple[Engine, Engine]]:
    app = make_engine(postgres.url("tidegate_app"))
    owner = create_engine(postgres.url("tidegate_owner"), pool_size=1, pool_pre_ping=True)  # a test may restart the server
    yield app, owner
    app.dispose()
    owner.dispose()


@pytest.fixture
def engine(_engines: tuple[Engine, Engine]) -> Engine:
    """The application's engine on empty tables."""
    app, owner = _engines
    empty_tables(owner)
    return app


def empty_tables(owner: Engine) -> None:
    """Empty every table, as the owner who may take the audit log's trigger away (the application may not)."""
    names = ", ".join(table.name for table in metadata.sorted_tables)
    with owner.begin() as connection:
        connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
        connection.execute(text(f"TRUNCATE {names}"))
        connection.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER USER"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the test's own."""
    return tmp_path
