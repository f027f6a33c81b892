"""The embedded servers: what was committed survives, passwords are asked for, and none is shown to other users."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from app.domain.errors import BadConfiguration
from app.stack.postgres import APP, OWNER, EmbeddedPostgres
from app.stack.redis import EmbeddedRedis
from tests.ports import free_port

SECONDS = 10


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder whose name has a blank in it, as home folders may have."""
    return tmp_path_factory.mktemp("state") / "of the gate"


@pytest.fixture(scope="module")
def _postgres(shelf: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(shelf, free_port())
    yield server
    server.kill()


@pytest.fixture
def database(_postgres: EmbeddedPostgres) -> EmbeddedPostgres:
    """A running Postgres, whatever the test before did to it."""
    if not _postgres.server.is_running:
        _postgres.start()
    return _postgres


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[EmbeddedRedis]:
    """A running Redis on empty data."""
    server = EmbeddedRedis(tmp_path, free_port())
    server.start()
    yield server
    server.kill()


def connect(database: EmbeddedPostgres, role: str = OWNER) -> psycopg.Connection[tuple[object, ...]]:
    url = database.url(role).replace("postgresql+psycopg", "postgresql")
    return psycopg.connect(url, autocommit=True, connect_timeout=SECONDS)


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=SECONDS)


def secrets_of(state: Path) -> list[str]:
    return [path.read_text().strip() for path in (state / "secrets").iterdir() if not path.name.endswith(".conf")]


def command_lines() -> dict[int, str]:
    """Return what `ps` shows of every process."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found[int(path.parent.name)] = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def test_both_roles_of_postgres_can_work_in_its_database(database: EmbeddedPostgres) -> None:
    for role in (OWNER, APP):
        with connect(database, role) as connection:
            row = connection.execute("SELECT current_user, current_database()").fetchone()
        assert row == (role, "tidegate")


def test_no_role_of_the_gate_may_do_everything_in_postgres(database: EmbeddedPostgres) -> None:
    with connect(database) as connection:
        query = "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname LIKE 'tidegate%'"
        assert connection.execute(query).fetchall() == [(False,), (False,)]


def test_what_postgres_committed_survives_stop_and_start(database: EmbeddedPostgres) -> None:
    with connect(database) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS stopped AS SELECT 42 AS kept")
    database.stop()
    assert not database.server.is_running
    database.start()
    with connect(database) as connection:
        assert connection.execute("SELECT kept FROM stopped").fetchone() == (42,)


def test_what_postgres_committed_survives_a_kill_and_nothing_else_does(database: EmbeddedPostgres) -> None:
    with connect(database) as connection:
        connection.execute("CREATE TABLE killed (value int)")
        connection.execute("INSERT INTO killed VALUES (1)")
        with pytest.raises(psycopg.OperationalError), connection.transaction():
            connection.execute("INSERT INTO killed VALUES (2)")
            database.kill()
            while True:  # its backends end a moment after it, and may answer until then
                connection.execute("SELECT 1")
    database.start()
    with connect(database) as connection:
        assert connection.execute("SELECT value FROM killed").fetchall() == [(1,)]


def test_postgres_asks_for_the_password(database: EmbeddedPostgres) -> None:
    for role in ("postgres", OWNER, APP):
        for password in ("wrong", ""):
            where = f"host=127.0.0.1 port={database.port} user={role} dbname=postgres password='{password}'"
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(where, connect_timeout=SECONDS)


def test_postgres_has_a_password_for_each_role_that_stays_the_same(database: EmbeddedPostgres, shelf: Path) -> None:
    before = sorted(secrets_of(shelf))
    database.stop()
    database.start()
    assert sorted(secrets_of(shelf)) == before
    assert len(set(before)) == 3


def test_no_password_of_postgres_is_in_the_process_list(database: EmbeddedPostgres, shelf: Path) -> None:
    with connect(database):
        shown = command_lines()
    assert database.server.pid is not None
    assert "postgres" in shown[database.server.pid]
    assert not [line for line in shown.values() for secret in secrets_of(shelf) if secret in line]


def test_only_this_machine_can_reach_postgres(database: EmbeddedPostgres) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", database.port), timeout=SECONDS)


def test_a_port_that_is_taken_stops_postgres_with_the_setting_to_change(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = EmbeddedPostgres(tmp_path, port)
        with pytest.raises(BadConfiguration) as caught:
            server.start()
    assert caught.value.faults == [f"port {port} for Postgres is taken by another program; set TIDEGATE_POSTGRES_PORT"]


def test_all_that_the_servers_keep_is_for_their_owner_only(database: EmbeddedPostgres, shelf: Path) -> None:
    assert database.server.is_running
    for path in (shelf, shelf / "secrets", shelf / "postgres"):
        assert path.stat().st_mode & 0o777 == 0o700
    for path in (shelf / "secrets").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_redis_keeps_survives_stop_and_start(transport: EmbeddedRedis) -> None:
    with client(transport.url()) as connection:
        connection.set("kept", "42")
    transport.stop()
    assert not transport.server.is_running
    transport.start()
    with client(transport.url()) as connection:
        assert connection.get("kept") == b"42"


def test_what_redis_has_written_survives_a_kill(transport: EmbeddedRedis) -> None:
    with client(transport.url()) as connection:
        connection.set("kept", "42")
        assert connection.waitaof(1, 0, SECONDS * 1000)[0] == 1
    transport.kill()
    assert not transport.server.is_running
    transport.start()
    with client(transport.url()) as connection:
        assert connection.get("kept") == b"42"


def test_a_wiped_redis_is_empty_and_has_the_same_password(transport: EmbeddedRedis) -> None:
    url = transport.url()
    with client(url) as connection:
        connection.set("kept", "42")
    transport.stop()
    transport.wipe()
    transport.start()
    assert transport.url() == url
    with client(url) as connection:
        assert connection.dbsize() == 0


def test_redis_asks_for_the_password(transport: EmbeddedRedis) -> None:
    with client(f"redis://127.0.0.1:{transport.port}/0") as connection, pytest.raises(redis.AuthenticationError):
        connection.ping()
    with client(f"redis://:wrong@127.0.0.1:{transport.port}/0") as connection, pytest.raises(redis.AuthenticationError):
        connection.ping()
    with client(transport.url()) as connection:
        assert connection.ping()


def test_no_password_of_redis_is_in_the_process_list(transport: EmbeddedRedis, tmp_path: Path) -> None:
    shown = command_lines()
    assert transport.server.pid is not None
    assert "valkey-server" in shown[transport.server.pid]
    (password,) = secrets_of(tmp_path)
    assert password in transport.url()
    assert not [line for line in shown.values() if password in line]


def test_the_file_that_tells_redis_its_password_is_for_its_owner_only(transport: EmbeddedRedis, tmp_path: Path) -> None:
    assert (tmp_path / "secrets" / "redis.conf").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "redis").stat().st_mode & 0o777 == 0o700


def test_only_this_machine_can_reach_redis(transport: EmbeddedRedis) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", transport.port), timeout=SECONDS)


def test_redis_never_throws_work_away_to_make_room(transport: EmbeddedRedis) -> None:
    with client(transport.url()) as connection:
        assert connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert connection.config_get("appendonly") == {"appendonly": "yes"}


def test_redis_starts_in_a_folder_with_a_blank_in_its_name(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "of the gate", free_port())
    try:
        server.start()
        with client(server.url()) as connection:
            assert connection.ping()
    finally:
        server.kill()


def test_a_port_that_is_taken_stops_redis_with_the_setting_to_change(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BadConfiguration) as caught:
            EmbeddedRedis(tmp_path, port).start()
    assert caught.value.faults == [f"port {port} for Redis is taken by another program; set TIDEGATE_REDIS_PORT"]
