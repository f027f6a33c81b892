"""Real servers for all tests: one embedded Postgres and one embedded Redis a process; every test gets empty tables."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from xdist.scheduler import LoadFileScheduling

from app.stack.postgres import EmbeddedPostgres
from app.stack.redis import EmbeddedRedis
from app.store.engine import make_engine
from app.store.migrate import upgrade
from app.store.schema.metadata import metadata
from tests import programs
from tests.ports import free_port
from tests.suites import Suites

_WRITTEN = " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT FROM {name})" for name in metadata.tables)
# Whole stacks, which take longest: those that tests start for themselves, and the one that the rest of e2e/ shares.
_STACKS = {
    "tests/e2e/test_up.py": "own",
    "tests/e2e/test_pressure.py": "own",
    "tests/torture/": "own",
    "tests/e2e/": "shared",
}
_ORDER = ("own", "shared", None)


class Scheduler(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Runs files beside each other (`-n`), but of whole stacks two at most: they fill a small machine."""

    def _split_scope(self, nodeid: str) -> str:
        return _stack(nodeid) or str(super()._split_scope(nodeid))


def pytest_configure(config: pytest.Config) -> None:
    """Have every run tell what it left out."""
    config.pluginmanager.register(Suites())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduler:
    """Have it run what `-n` asks for."""
    return Scheduler(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    items.sort(key=lambda item: _ORDER.index(_stack(item.nodeid)))


def _stack(nodeid: str) -> str | None:
    return next((which for place, which in _STACKS.items() if nodeid.startswith(place)), None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to the report of a failed test what the programs said that tests have started."""
    report = yield
    if report.failed:
        report.sections += programs.sections()
    return report


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A migrated Postgres of our own."""
    folder = tmp_path_factory.mktemp("postgres")
    programs.watch("Postgres", folder / "postgres.log")
    server = EmbeddedPostgres(folder, free_port())
    server.start()
    upgrade(server.url("tidegate_owner"), server.url("tidegate_app"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    """A Redis of our own."""
    folder = tmp_path_factory.mktemp("redis")
    programs.watch("Redis", folder / "redis.log")
    server = EmbeddedRedis(folder, free_port())
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
    """Empty every table that holds anything, as the owner who may take the audit log's trigger away (the application may not).

    Truncating one takes a millisecond, and most tests write to few.
    """
    with owner.begin() as connection:
        written = list(connection.execute(text(_WRITTEN)).scalars())
        if written:
            connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER USER"))
            connection.execute(text(f"TRUNCATE {', '.join(written)} CASCADE"))
            connection.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER USER"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the test's own."""
    return tmp_path
