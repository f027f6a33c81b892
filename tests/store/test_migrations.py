"""Migrations go up, down and up again, one at a time, and make exactly the tables of `app/store/schema`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Connection, Engine, create_engine, pool, text
from sqlalchemy.engine import make_url

from app.domain.errors import StoreUnavailable
from app.integrations.system import SystemIds
from app.stack.postgres import APP, OWNER, EmbeddedPostgres
from app.store.engine import make_engine
from app.store.migrate import SCRIPTS, alembic_config, is_current, upgrade
from app.store.schema.metadata import metadata
from tests.ports import free_port

FILE_NAME = re.compile(
    r"(\d{4})_(add|alter|change|create|drop|fill|move|remove|rename|split|tighten|widen)_[a-z0-9]+(_[a-z0-9]+)*\.py"
)
LOCK = 7243551201
# name, definition of everything in the database that autogenerate does not look at closely, or not at all
CONSTRAINTS = (
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE conrelid <> 0 AND connamespace = 'public'::regnamespace"
)
INDEXES = "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
COLUMNS = (
    "SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity, identity_generation"
    " FROM information_schema.columns WHERE table_schema = 'public'"
)
SEQUENCES = "SELECT sequencename, data_type::text, start_value, increment_by, cycle FROM pg_sequences WHERE schemaname = 'public'"
FUNCTIONS = "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
TRIGGERS = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
GRANTS = "SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = 'tidegate_app'"


@dataclass(frozen=True, slots=True)
class Database:
    """A new, empty database of the owner."""

    owner_url: str
    app_url: str
    engine: Engine

    def rows(self, query: str) -> set[tuple[object, ...]]:
        """Query the catalogue, without Alembic's own table."""
        with self.engine.connect() as connection:
            return {tuple(row) for row in connection.execute(text(query)) if not str(row[0]).startswith("alembic_version")}

    def shape(self) -> dict[str, set[tuple[object, ...]]]:
        """Describe everything that a migration may have made."""
        queries = (CONSTRAINTS, INDEXES, COLUMNS, SEQUENCES, FUNCTIONS, TRIGGERS, GRANTS)
        return {query: self.rows(query) for query in queries}

    def downgrade(self) -> None:
        command.downgrade(alembic_config(self.owner_url, APP), "base")


@pytest.fixture
def make_database(postgres: EmbeddedPostgres) -> Iterator[Callable[[], Database]]:
    """Make fresh databases, and drop them afterwards."""
    superuser = make_url(postgres.url("postgres")).set(drivername="postgresql", database="postgres")
    made: list[tuple[str, Engine]] = []

    def administrate(statement: str) -> None:
        with psycopg.connect(superuser.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute(statement.encode())

    def make() -> Database:
        name = f"migrations_{SystemIds().new().replace('-', '')}"
        administrate(f"CREATE DATABASE {name} OWNER {OWNER}")
        owner, app = (
            make_url(postgres.url(role)).set(database=name).render_as_string(hide_password=False) for role in (OWNER, APP)
        )
        engine = create_engine(owner, poolclass=pool.NullPool)
        made.append((name, engine))
        return Database(owner, app, engine)

    yield make
    for name, engine in made:
        engine.dispose()
        administrate(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database(make_database: Callable[[], Database]) -> Database:
    return make_database()


def test_up_down_and_up_again_leaves_the_same(database: Database) -> None:
    upgrade(database.owner_url, database.app_url)
    first = database.shape()
    assert {row[0] for row in first[COLUMNS]} == {table.name for table in metadata.sorted_tables}
    assert first[TRIGGERS] == {("audit_entries_are_append_only",)} and first[GRANTS]
    database.downgrade()
    assert database.shape() == {query: set() for query in first}
    upgrade(database.owner_url, database.app_url)
    assert database.shape() == first


def test_going_down_works_with_rows_in_the_tables(database: Database) -> None:
    upgrade(database.owner_url, database.app_url)
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO audit_entries (id, at, action, actor, correlation_id, detail)"
                " VALUES (gen_random_uuid(), now(), 'a:b', 'c', gen_random_uuid(), '{}')"
            )
        )
    database.downgrade()
    assert database.rows(COLUMNS) == set()


def test_upgrading_an_upgraded_database_changes_nothing(database: Database) -> None:
    upgrade(database.owner_url, database.app_url)
    before = database.shape()
    upgrade(database.owner_url, database.app_url)
    assert database.shape() == before


def differences(connection: Connection) -> list[object]:
    """Compare as `alembic check` does."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


def test_autogenerate_finds_nothing_left_to_migrate(database: Database) -> None:
    with database.engine.connect() as connection:
        assert differences(connection)  # the comparison sees that an empty database lacks everything
    upgrade(database.owner_url, database.app_url)
    with database.engine.connect() as connection:
        assert differences(connection) == []


@pytest.mark.parametrize(
    "what", [CONSTRAINTS, INDEXES, COLUMNS, SEQUENCES], ids=["constraints", "indexes", "columns", "sequences"]
)
def test_the_migrations_make_exactly_what_the_schema_says(make_database: Callable[[], Database], what: str) -> None:
    """Autogenerate compares neither checks nor the conditions of indexes."""
    migrated, described = make_database(), make_database()
    upgrade(migrated.owner_url, migrated.app_url)
    metadata.create_all(described.engine)
    assert migrated.rows(what) == described.rows(what) != set()


def test_the_file_names_say_number_verb_and_noun_in_an_unbroken_chain() -> None:
    names = sorted(path.name for path in (SCRIPTS / "versions").glob("*.py"))
    assert names and all(FILE_NAME.fullmatch(name) for name in names), names
    numbers = [name[:4] for name in names]
    assert numbers == [f"{n:04}" for n in range(1, len(names) + 1)]
    revisions = {r.revision: r.down_revision for r in ScriptDirectory(str(SCRIPTS)).walk_revisions()}
    assert revisions == dict(zip(numbers, [None, *numbers], strict=False))


def test_every_migration_says_what_it_does() -> None:
    revisions = list(ScriptDirectory(str(SCRIPTS)).walk_revisions())
    assert revisions
    for revision in revisions:
        assert len(revision.doc) > 10
        assert callable(revision.module.downgrade) and callable(revision.module.upgrade)


def migrating(database: Database) -> subprocess.CompletedProcess[str]:
    """Migrate in a process of its own, as a deployment of Tidegate does (Alembic keeps its context per process)."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    env |= {
        "TIDEGATE_DATABASE_URL": database.app_url,
        "TIDEGATE_OWNER_DATABASE_URL": database.owner_url,
        "TIDEGATE_REDIS_URL": "redis://127.0.0.1:1/0",
    }
    arguments = [sys.executable, "-m", "app.store.migrate"]
    return subprocess.run(arguments, env=env, capture_output=True, text=True, timeout=150, check=False)


def waiting_for_the_lock(connection: Connection) -> int:
    query = text(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        " AND (classid::bigint << 32 | objid::bigint) = :key"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    found: int = connection.execute(query, {"key": LOCK}).scalar_one()
    connection.commit()
    return found


def test_two_migrations_at_once_are_made_one_after_the_other(database: Database) -> None:
    with ThreadPoolExecutor(2) as threads, database.engine.connect() as gate:
        gate.execute(text(f"SELECT pg_advisory_lock({LOCK})"))
        gate.commit()
        running = [threads.submit(migrating, database) for _ in range(2)]
        until = time.monotonic() + 30
        while waiting_for_the_lock(gate) < 2 and time.monotonic() < until and not any(r.done() for r in running):
            time.sleep(0.02)
        both_waited = waiting_for_the_lock(gate) == 2
        assert database.rows(COLUMNS) == set()
        gate.execute(text(f"SELECT pg_advisory_unlock({LOCK})"))
        gate.commit()
        results = [future.result(timeout=150) for future in running]
    assert [(result.returncode, result.stderr) for result in results] == [(0, ""), (0, "")]
    assert both_waited
    with database.engine.connect() as connection:
        newest = ScriptDirectory(str(SCRIPTS)).get_current_head()
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [newest]
        assert differences(connection) == []


def test_a_database_is_current_only_after_it_was_migrated(database: Database) -> None:
    assert is_current(database.engine) is False
    upgrade(database.owner_url, database.app_url)
    app = make_engine(database.app_url, pool_size=1)
    try:
        assert is_current(app) is True
        with database.engine.begin() as connection:
            newest = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert is_current(app) is True, "a newer release has migrated, and this one goes on"
        with database.engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :newest"), {"newest": newest})
    finally:
        app.dispose()
    database.downgrade()
    assert is_current(database.engine) is False


def test_asking_a_database_that_is_away_says_so() -> None:
    with pytest.raises(StoreUnavailable):
        is_current(make_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/tidegate"))


@pytest.mark.parametrize("role", ['o"dd', "it's", "Über"])
def test_the_application_may_have_any_name(database: Database, postgres: EmbeddedPostgres, role: str) -> None:
    url = make_url(postgres.url("postgres")).set(drivername="postgresql", database=make_url(database.owner_url).database)
    name = sql.Identifier(role)
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {}").format(name))
        try:
            upgrade(database.owner_url, make_url(database.app_url).set(username=role).render_as_string(hide_password=False))
            query = (
                "SELECT has_table_privilege(%s, 'audit_entries', 'INSERT'), has_table_privilege(%s, 'audit_entries', 'UPDATE')"
            )
            assert connection.execute(query, (role, role)).fetchone() == (True, False)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(name))
            connection.execute(sql.SQL("DROP ROLE {}").format(name))
