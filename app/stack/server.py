"""A server of our own: a child in a session of its own, started, waited for, stopped, or killed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from app.domain.errors import BadConfiguration, GateError

START_SECONDS = 30.0
STOP_SECONDS = 10.0


class Server:
    """One server process. `name` and `setting` are for messages: the server's name, and the setting of its port."""

    def __init__(self, name: str, setting: str, port: int, log: Path) -> None:
        self.name = name
        self.port = port
        self._setting = setting
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        return self._process.pid if self._process is not None and self.is_running else None

    @property
    def is_running(self) -> bool:
        """Tell whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def launch(self, command: Sequence[str]) -> None:
        """Start the process and wait until its port answers.

        A server that ends at once is started again: a Postgres whose predecessor was killed refuses to start until
        the old one's last backend has gone ("pre-existing shared memory block").
        """
        if answers(self.port):
            raise BadConfiguration([f"port {self.port} for {self.name} is taken by another program; set {self._setting}"])
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if not self.is_running:
                self._spawn(command)
            if answers(self.port):
                return
            time.sleep(0.05)
        self.kill()
        raise GateError(f"{self.name} does not start; see {self._log}")

    def _spawn(self, command: Sequence[str]) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask the process to end, and kill it after ten seconds."""
        if self._process is None or not self.is_running:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill the process and its children, as a power cut would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def answers(port: int) -> bool:
    """Tell whether a program listens on this port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def free_port() -> int:
    """Return a port on which no program listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
