"""The tests' own tools: what a run leaves out is told, ports are handed out once, and programs are heard."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.stack.server import answers
from tests import programs
from tests.ports import FIRST, free_port
from tests.programs import Program, running
from tests.waiting import until

ROOT = Path(__file__).parents[1]
CONFTEST = "from tests.suites import Suites\ndef pytest_configure(config):\n    config.pluginmanager.register(Suites())\n"
SHORT_AND_LONG = """\
import pytest

def test_short():
    pytest.skip("there is no moon")

@pytest.mark.long
def test_long():
    pytest.skip("there is no engine")
"""
TAKE = "from tests.ports import free_port; print(*[free_port() for _ in range(150)]); input()"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(SHORT_AND_LONG)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    long: takes long\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), *arguments, str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_a_run_leaves_out_stands_in_its_last_lines(tmp_path: Path, processes: str) -> None:
    done = run(tmp_path, "-n", processes, "-m", "not long")
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-4:]
    assert any("1 skipped in" in line and "test_it.py: there is no moon" in line for line in last), done.stdout
    assert any("1 long tests left out: `make test-long` runs them" in line for line in last), done.stdout


def test_a_long_test_that_is_skipped_fails(tmp_path: Path) -> None:
    done = run(tmp_path, "-m", "long")
    assert done.returncode == 1
    assert "a long test may not be skipped: there is no engine" in done.stdout


def test_no_two_processes_are_given_the_same_port() -> None:
    def take() -> list[int]:
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        ports = [int(port) for port in process.stdout.readline().split()]
        taking.append(process)
        return ports

    taking: list[subprocess.Popen[str]] = []
    with ThreadPoolExecutor(4) as pool:
        taken = [pool.submit(take) for _ in range(4)]
    ports = [port for each in taken for port in each.result()] + [free_port() for _ in range(150)]
    for process in taking:
        process.communicate("\n")
    assert len(set(ports)) == 5 * 150
    assert all(FIRST < port < 32768 for port in ports)  # below the ports of outgoing connections


def test_a_program_that_does_not_start_fails_with_what_it_said(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('out of tea')"]
    with pytest.raises(AssertionError, match="ended with 1:\nout of tea"), running(command, tmp_path / "log", lambda: False):
        pytest.fail("it is not ready")


def test_what_a_running_program_says_is_for_the_report_of_a_failed_test(tmp_path: Path) -> None:
    port = free_port()
    listen = (
        f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); print('brewing', flush=True); time.sleep(600)"
    )
    with running([sys.executable, "-c", listen], tmp_path / "log", lambda: answers(port)) as program:
        program.until(program.said)
        assert (f"what {program.name} said ({program.log})", "brewing") in programs.sections()
    until(lambda: not answers(port))
    assert not [title for title, _ in programs.sections() if str(program.log) in title]


def test_a_program_that_is_stopped_takes_its_children_with_it(tmp_path: Path) -> None:
    port = free_port()
    child = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(600)"
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    program = Program([sys.executable, "-c", parent], tmp_path / "log")
    program.until(lambda: answers(port))
    program.stop()
    until(lambda: not answers(port))
