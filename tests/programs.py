"""Programs that tests start. What they say goes into a file, and with a failed test into its report."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

START_SECONDS = 60.0
END_SECONDS = 60.0
MOST = 20_000  # characters of a file that a report shows

_logs: dict[Path, str] = {}


class Program:
    """A running program with its children, in a session of its own."""

    def __init__(
        self, command: Sequence[str], log: Path, *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.log = log
        self.name = Path(command[0]).name
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, cwd=cwd, start_new_session=True
            )
        watch(self.name, log)

    def said(self) -> str:
        """Return the end of what it has said."""
        return said(self.log)

    def until(self, ready: Callable[[], object], seconds: float = START_SECONDS) -> None:
        """Wait until it is ready. If it ends or takes too long, fail with what it said."""
        end = time.monotonic() + seconds
        while not ready():
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}:\n{self.said()}"
            assert time.monotonic() < end, f"{self.name} is not ready after {seconds:.0f} s:\n{self.said()}"
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and kill what is left of it and its children."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            pass  # it is killed now
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # nothing is left
        self.process.wait()
        forget(self.log)


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    ready: Callable[[], object],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[Program]:
    """Run a program until the block ends."""
    program = Program(command, log, env=env, cwd=cwd)
    try:
        program.until(ready)
        yield program
    finally:
        program.stop()


def watch(name: str, log: Path) -> None:
    """Show the end of this file in the report of every test that fails from now on."""
    _logs[log] = name


def forget(log: Path) -> None:
    """Show this file no longer."""
    _logs.pop(log, None)


def said(log: Path) -> str:
    """Return the end of a file, or nothing if there is none."""
    return log.read_text(errors="replace")[-MOST:] if log.exists() else ""


def sections() -> list[tuple[str, str]]:
    """List what the watched programs said, for the report of a failed test; a line that comes again and again stands once."""
    found = [(f"what {name} said ({log})", [line for line, _ in groupby(said(log).splitlines())]) for log, name in _logs.items()]
    return [(title, "\n".join(lines)) for title, lines in found if lines]
