"""A server of our own: started, waited for, stopped, killed, and never mistaken for another program."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import app.stack.server
from app.domain.errors import BadConfiguration, GateError
from app.stack.server import Server, answers
from tests.ports import free_port
from tests.waiting import until

LISTEN = """
import os, socket, sys, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", int(sys.argv[1])))
listener.listen()
print("listening", flush=True)
time.sleep(600)
"""
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LISTEN
FAILS_TWICE = (
    """
import pathlib, sys
tries = pathlib.Path(sys.argv[2])
tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
if len(tries.read_text()) < 3:
    sys.exit("pre-existing shared memory block")
"""
    + LISTEN
)
WITH_CHILD = (
    """
import pathlib, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[2]).write_text(str(child.pid))
"""
    + LISTEN
)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def command(server: Server, program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", program, str(server.port), *arguments]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server("Lighthouse", "TIDEGATE_LIGHT_PORT", free_port(), tmp_path / "light.log")
    yield made
    made.kill()


def test_a_server_that_launch_returned_from_answers(server: Server) -> None:
    assert (server.pid, server.is_running) == (None, False)
    server.launch(command(server, LISTEN))
    assert answers(server.port)
    assert server.is_running
    assert server.pid is not None
    assert lives(server.pid)


def test_its_output_is_in_its_log(server: Server, tmp_path: Path) -> None:
    server.launch(command(server, LISTEN))
    until(lambda: "listening" in (tmp_path / "light.log").read_text())


def test_it_runs_in_a_session_of_its_own(server: Server) -> None:
    server.launch(command(server, LISTEN))
    assert server.pid is not None
    assert os.getsid(server.pid) == server.pid != os.getsid(0)


def test_a_port_that_is_taken_is_told_with_the_setting_that_changes_it(server: Server, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", server.port)):
        with pytest.raises(BadConfiguration) as caught:
            server.launch(command(server, LISTEN))
        told = f"port {server.port} for Lighthouse is taken by another program; set TIDEGATE_LIGHT_PORT"
        assert caught.value.faults == [told]
    assert not (tmp_path / "light.log").exists()
    assert server.pid is None


def test_a_server_that_was_killed_is_started_again_by_launch(server: Server) -> None:
    server.launch(command(server, LISTEN))
    first = server.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    until(lambda: not server.is_running)
    assert server.pid is None
    server.launch(command(server, LISTEN))
    assert server.pid not in (None, first)
    assert answers(server.port)


def test_a_server_that_was_stopped_is_started_again_by_launch(server: Server) -> None:
    server.launch(command(server, LISTEN))
    server.stop()
    assert not answers(server.port)
    server.launch(command(server, LISTEN))
    assert answers(server.port)


def test_a_server_that_ends_at_once_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.launch(command(server, FAILS_TWICE, str(tmp_path / "tries")))
    assert answers(server.port)
    assert (tmp_path / "tries").read_text() == "xxx"
    assert (tmp_path / "light.log").read_text().count("pre-existing shared memory block") == 2


def test_a_server_that_never_starts_is_an_error_that_names_its_log(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.stack.server, "START_SECONDS", 0.3)
    with pytest.raises(GateError, match=r"Lighthouse does not start; see .*/light\.log"):
        server.launch([sys.executable, "-c", "import time; time.sleep(600)"])
    assert not server.is_running


def test_a_stopped_server_is_gone_and_stopping_it_again_is_harmless(server: Server) -> None:
    server.stop()
    server.launch(command(server, LISTEN))
    pid = server.pid
    assert pid is not None
    server.stop()
    server.stop()
    assert not lives(pid)
    assert (server.pid, server.is_running) == (None, False)


def test_a_server_that_will_not_stop_is_killed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.stack.server, "STOP_SECONDS", 0.3)
    server.launch(command(server, STUBBORN))
    pid = server.pid
    assert pid is not None
    server.stop()
    assert not lives(pid)


def test_a_killed_server_takes_its_children_with_it(server: Server, tmp_path: Path) -> None:
    server.launch(command(server, WITH_CHILD, str(tmp_path / "child")))
    child = int((tmp_path / "child").read_text())
    assert lives(child)
    server.kill()
    until(lambda: not lives(child))
    assert not server.is_running


def test_killing_what_never_ran_or_is_gone_is_harmless(server: Server) -> None:
    server.kill()
    server.launch(command(server, LISTEN))
    server.kill()
    server.kill()
    assert not server.is_running


def test_nobody_answers_where_nobody_listens() -> None:
    port = free_port()
    assert not answers(port)
    with socket.create_server(("127.0.0.1", port)):
        assert answers(port)
