"""Bring everything up on one machine, and down again: servers, schema, first configuration, processes."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from app.bootstrap import check_rules, keyset_key
from app.config.example import write_example
from app.config.tables.forges import shared_secrets
from app.domain.errors import BadConfiguration, GateError
from app.integrations.system import write_private
from app.settings import Settings, load_settings
from app.stack.environment import FLOWER, KEYSET_KEY, MASTER_KEY, MIGRATE, environment_of
from app.stack.memory import MemoryWatch
from app.stack.postgres import APP, OWNER, EmbeddedPostgres
from app.stack.redis import EmbeddedRedis
from app.stack.restart import DONE, LOCK, answer, check_state, roll
from app.stack.secrets import load_or_make_secret
from app.stack.server import answers
from app.stack.supervisor import Supervisor, read_procfile

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = "connections.env"
OWNER_URL = "TIDEGATE_OWNER_DATABASE_URL"
MEMORY_SECONDS = 5.0
DEFAULT_PORTS = {
    "TIDEGATE_WEB_PORT": 8300,
    "TIDEGATE_FLOWER_PORT": 5556,
    "TIDEGATE_POSTGRES_PORT": 5433,
    "TIDEGATE_REDIS_PORT": 6390,
}


@dataclass(frozen=True, slots=True)
class Running:
    """What the person who started it is shown. `flower_password` is set on the first start only."""

    web_url: str
    flower_url: str
    flower_password: str | None
    postgres: str
    redis: str
    state: Path
    written: tuple[Path, ...]


class Stack:
    """Everything on one machine. `environ` is the caller's; child processes get it with what the stack adds."""

    def __init__(self, environ: Mapping[str, str], *, log: Path | None = None) -> None:
        self._environ = dict(environ)
        self.state = Path(environ.get("TIDEGATE_STATE_DIR", ".tidegate")).resolve()
        self.ports = {name: _port(environ, name) for name in DEFAULT_PORTS}
        self.postgres: EmbeddedPostgres | None = None
        self.redis: EmbeddedRedis | None = None
        self.supervisor: Supervisor | None = None
        self.env: dict[str, str] = {}
        self._log = log
        self._lock: IO[str] | None = None
        self._settings: Settings | None = None
        self._turns = threading.Lock()
        self._ending = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, say: Callable[[str], None]) -> Running:
        """Start all in order; raises BadConfiguration (ports, configuration) or GateError."""
        self._take_lock()
        for name in ("TIDEGATE_WEB_PORT", "TIDEGATE_FLOWER_PORT"):
            if answers(self.ports[name]):
                raise BadConfiguration([f"port {self.ports[name]} is taken by another program; set {name}"])
        env = self._start_servers(say)
        say("migrating the schema")
        self._migrate(env)
        written = write_example(Path.cwd()) if "TIDEGATE_CONFIG" not in env else []
        say("checking the configuration")
        configuration, _ = check_rules(load_settings(env))
        for warning in shared_secrets(configuration.forges, [e.repository for e in configuration.environments]):
            say(f"warning: {warning}")
        password, is_new = load_or_make_secret(self.state / "secrets" / "flower")
        self._write_connections(env)
        self._settings = load_settings(env)
        env.setdefault(KEYSET_KEY, keyset_key(self._settings))
        self.env = env
        commands = read_procfile(ROOT / "Procfile")
        self.supervisor = Supervisor(commands, self._environment_of, log=self._log, stop_within=self._settings.stop_within)
        self.supervisor.start()
        if self._settings.max_rss_mb:
            self._in_background(self._watch_memory, say)
        host = env.get("TIDEGATE_WEB_HOST", "127.0.0.1")
        return Running(
            web_url=f"http://{host}:{self.ports['TIDEGATE_WEB_PORT']}",
            flower_url=f"http://127.0.0.1:{self.ports['TIDEGATE_FLOWER_PORT']}",
            flower_password=password if is_new else None,
            postgres=f"embedded, port {self.postgres.port}" if self.postgres else "TIDEGATE_DATABASE_URL",
            redis=f"embedded, port {self.redis.port}" if self.redis else "TIDEGATE_REDIS_URL",
            state=self.state,
            written=tuple(written),
        )

    def restart(self, say: Callable[[str], None]) -> threading.Thread:
        """Migrate, then replace every process by one with the present code and settings, without a gap; in a thread."""
        return self._in_background(self._restart, say)

    def _restart(self, say: Callable[[str], None]) -> None:
        with self._turns:
            try:
                assert self.supervisor is not None
                assert self._settings is not None
                say("migrating the schema")
                self._migrate(self.env)
                roll(self.supervisor, drain_within=self._settings.drain_within, say=say)
            except GateError as fault:
                say(f"not restarted: {fault}")
                answer(self.state, str(fault))
            else:
                say("restarted")
                answer(self.state, DONE)

    def _watch_memory(self, say: Callable[[str], None]) -> None:
        assert self.supervisor is not None
        assert self._settings is not None
        watch = MemoryWatch(self.supervisor, self._settings.max_rss_mb, self._settings.drain_within, say)
        while not self._ending.wait(MEMORY_SECONDS):
            with self._turns:
                watch.look()

    def _in_background(self, work: Callable[[Callable[[str], None]], None], say: Callable[[str], None]) -> threading.Thread:
        thread = threading.Thread(target=work, args=(say,), name="stack", daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def stop(self) -> None:
        """Stop what was started, and nothing else; processes first, servers last."""
        self._ending.set()
        if self.supervisor is not None:
            self.supervisor.stop()
        for thread in self._threads:
            thread.join(5.0)
        for part in (self.supervisor, self.redis, self.postgres):
            if part is not None:
                part.stop()
        if self._lock is not None:
            self._lock.close()

    def _take_lock(self) -> None:
        self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_state(self.state)
        self._lock = (self.state / LOCK).open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadConfiguration(
                [f"another `tidegate up` runs on {self.state}; set TIDEGATE_STATE_DIR for a second one"]
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()

    def _start_servers(self, say: Callable[[str], None]) -> dict[str, str]:
        """Start the embedded servers that are needed; return the environment for everything else."""
        env = {name: value for name, value in self._environ.items() if name != OWNER_URL}
        load_or_make_secret(self.state / "secrets" / "master.key", size=32, urlsafe=False)
        env.setdefault(MASTER_KEY, f"file:{self.state}/secrets/master.key")
        env["TIDEGATE_STATE_DIR"] = str(self.state)
        env.setdefault("TIDEGATE_PUBLIC_URL", f"http://127.0.0.1:{self.ports['TIDEGATE_WEB_PORT']}")
        if "TIDEGATE_DATABASE_URL" not in env:
            say("starting Postgres")
            self.postgres = EmbeddedPostgres(self.state, self.ports["TIDEGATE_POSTGRES_PORT"])
            self.postgres.start()
            env["TIDEGATE_DATABASE_URL"] = self.postgres.url(APP)
        if "TIDEGATE_REDIS_URL" not in env:
            say("starting Redis")
            self.redis = EmbeddedRedis(self.state, self.ports["TIDEGATE_REDIS_PORT"])
            self.redis.start()
            env["TIDEGATE_REDIS_URL"] = self.redis.url()
        return env

    def _migrate(self, env: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "app.store.migrate"]
        owner = {OWNER_URL: url} if (url := self._owner_url()) else {}
        done = subprocess.run(command, env=environment_of(MIGRATE, {**env, **owner}), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            raise GateError(f"the schema could not be migrated: {''.join(last)}")

    def _owner_url(self) -> str | None:
        """Return the URL of the tables' owner, which the migration alone is given. It is not kept beside the other settings."""
        return self.postgres.url(OWNER) if self.postgres else self._environ.get(OWNER_URL)

    def _environment_of(self, process: str) -> dict[str, str]:
        password = load_or_make_secret(self.state / "secrets" / "flower")[0]
        own = {"FLOWER_BASIC_AUTH": f"ops:{password}"} if process == FLOWER else {}
        return environment_of(process, self.env) | own

    def _write_connections(self, env: Mapping[str, str]) -> None:
        """Write the settings that the command line needs into the state folder, for its owner only."""
        names = ("TIDEGATE_DATABASE_URL", "TIDEGATE_REDIS_URL", "TIDEGATE_PUBLIC_URL")
        write_private(self.state / CONNECTIONS, "".join(f"{name}={env[name]}\n" for name in names))


def _port(environ: Mapping[str, str], name: str) -> int:
    value = environ.get(name, str(DEFAULT_PORTS[name]))
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise BadConfiguration([f"{name}: {value!r} is not a port"])
    return int(value)
