"""`tidegate up` as a person runs it: in an empty folder, stopped with Ctrl-C, started again, and where a port is taken."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.stack.postgres import APP, OWNER, EmbeddedPostgres
from app.stack.redis import EmbeddedRedis
from app.stack.server import answers
from tests.ports import free_port, stack_ports
from tests.programs import Program, forget
from tests.waiting import until

TIDEGATE = str(Path(sys.executable).parent / "tidegate")


pytestmark = pytest.mark.timeout(600)


class Up:
    """A running `tidegate up` and what it said so far."""

    def __init__(self, program: Program, env: dict[str, str]) -> None:
        self.process, self.env, self._log = program.process, env, program.log

    @property
    def said(self) -> str:
        return self._log.read_text()

    def port(self, name: str) -> int:
        return int(self.env[f"TIDEGATE_{name}_PORT"])

    def is_ready(self) -> bool:
        return httpx.get(f"http://127.0.0.1:{self.port('WEB')}/readyz", timeout=20).status_code == 200


@pytest.fixture
def env() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    return kept | stack_ports()


@contextmanager
def up(folder: Path, env: dict[str, str], end: signal.Signals = signal.SIGINT) -> Iterator[Up]:
    program = Program([TIDEGATE, "up"], folder.with_name(f"{folder.name}-{end.name}.out"), cwd=folder, env=env)
    try:
        yield Up(program, env)
    finally:
        program.process.send_signal(end)
        program.process.wait(120)  # nothing is killed here: it must end by itself
        forget(program.log)


def test_a_first_start_makes_all_it_needs_and_ctrl_c_leaves_nothing_running(folder: Path, env: dict[str, str]) -> None:
    with up(folder, env) as first:
        until(first.is_ready, "the first start is ready", 200)
        until(lambda: "Ctrl-C stops everything" in first.said, "it says what runs")
        assert "tidegate.toml" in first.said and "password" in first.said
    assert first.process.returncode == 0, first.said
    for name in ("WEB", "FLOWER", "POSTGRES", "REDIS"):
        assert not answers(first.port(name)), name
    left = subprocess.run(["pgrep", "-f", str(folder)], capture_output=True, text=True, check=False).stdout
    assert left == ""
    secrets = [*(folder / ".tidegate" / "secrets").iterdir(), folder / ".tidegate" / "connections.env"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in secrets} == {0o600}

    made = {path.name: path.read_text() for path in secrets}
    mine = "# mine\n" + (folder / "people.toml").read_text()
    (folder / "people.toml").write_text(mine)
    with up(folder, env, signal.SIGHUP) as second:  # as a closed terminal sends it
        until(second.is_ready, "the second start is ready", 200)
        until(lambda: "Ctrl-C stops everything" in second.said, "it says what runs")
        assert "starting Postgres" in second.said and "written for you" not in second.said
        assert made["flower"].strip() not in second.said
    for name in ("WEB", "FLOWER", "POSTGRES", "REDIS"):
        assert not answers(second.port(name)), name
    assert {path.name: path.read_text() for path in secrets} == made
    assert (folder / "people.toml").read_text() == mine


def test_restart_replaces_every_process_of_a_running_up_and_comes_back_when_it_is_done(folder: Path, env: dict[str, str]) -> None:
    with up(folder, env) as running:
        until(running.is_ready, "it is ready", 200)
        done = subprocess.run(
            [TIDEGATE, "restart"], cwd=folder, env=env, capture_output=True, text=True, timeout=500, check=False
        )
        assert (done.returncode, done.stdout) == (0, "restarted\n"), done.stderr + running.said
        assert [name for name in ("worker", "deployer", "slow", "web") if f"replacing {name}" not in running.said] == []
        assert running.process.poll() is None
        assert running.is_ready()
    assert running.process.returncode == 0


@pytest.mark.parametrize("name", ["WEB", "FLOWER", "POSTGRES", "REDIS"])
def test_a_taken_port_is_told_with_the_setting_that_changes_it(folder: Path, env: dict[str, str], name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(env[f"TIDEGATE_{name}_PORT"])))
        taken.listen()
        done = subprocess.run([TIDEGATE, "up"], cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2
    assert f"TIDEGATE_{name}_PORT" in done.stderr and "Traceback" not in done.stderr
    for other in {"WEB", "FLOWER", "POSTGRES", "REDIS"} - {name}:
        assert not answers(int(env[f"TIDEGATE_{other}_PORT"]))


def test_a_faulty_configuration_starts_nothing_and_is_told_with_its_line(folder: Path, env: dict[str, str]) -> None:
    assert subprocess.run([TIDEGATE, "config", "example"], cwd=folder, env=env, capture_output=True, check=False).returncode == 0
    config = folder / "tidegate.toml"
    config.write_text(config.read_text().replace('targets = ["example-site"]', 'targets = ["nowhere"]'))
    done = subprocess.run([TIDEGATE, "up"], cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2
    assert "there is no target 'nowhere'" in done.stderr and "tidegate.toml:" in done.stderr and "is up" not in done.stdout
    for name in ("WEB", "FLOWER", "POSTGRES", "REDIS"):
        assert not answers(int(env[f"TIDEGATE_{name}_PORT"]))


def test_given_servers_take_the_place_of_the_embedded_ones_and_outlive_the_stack(
    folder: Path, env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """`TIDEGATE_DATABASE_URL` and `TIDEGATE_REDIS_URL`: servers of one's own, here with an empty database."""
    postgres = EmbeddedPostgres(tmp_path_factory.mktemp("given-postgres"), free_port())
    redis = EmbeddedRedis(tmp_path_factory.mktemp("given-redis"), free_port())
    postgres.start()
    redis.start()
    given = {
        "TIDEGATE_DATABASE_URL": postgres.url(APP),
        "TIDEGATE_OWNER_DATABASE_URL": postgres.url(OWNER),
        "TIDEGATE_REDIS_URL": redis.url(),
    }
    try:
        with up(folder, env | given) as running:
            until(running.is_ready, "it is ready", 200)
            until(lambda: "Ctrl-C stops everything" in running.said, "it says what runs")
            assert "TIDEGATE_DATABASE_URL" in running.said and "TIDEGATE_REDIS_URL" in running.said
            assert "starting Postgres" not in running.said and "starting Redis" not in running.said
            for name in ("POSTGRES", "REDIS"):
                assert not answers(running.port(name)), name
        assert running.process.returncode == 0, running.said
        assert answers(postgres.port) and answers(redis.port)
        assert not any(secret in running.said for secret in (postgres.url(APP), redis.url()))
    finally:
        redis.stop()
        postgres.stop()
