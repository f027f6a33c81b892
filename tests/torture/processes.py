"""The gate's own processes, as the Procfile names them: one supervisor each, in one or (during an upgrade) two generations."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

from app.stack.supervisor import Supervisor, read_procfile

NOT_NEEDED = ("flower",)
BOUND = "TIDEGATE_WEB_PORT"  # a line that names it listens on a port, so two generations of it cannot run at once


def names_in(root: Path) -> tuple[str, ...]:
    """List the processes of this version of the code."""
    return tuple(name for name in read_procfile(root / "Procfile") if name not in NOT_NEEDED)


class Generation:
    """All processes of one version of the code."""

    def __init__(self, root: Path, number: int, env: Mapping[str, str], logs: Path) -> None:
        self.root = root
        self.number = number
        self._env = dict(env)
        self._commands = {n: self._here(c) for n, c in read_procfile(root / "Procfile").items() if n not in NOT_NEEDED}
        self._logs = logs
        self._running: dict[str, Supervisor] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What runs, or may be started."""
        return tuple(self._commands)

    def bound(self) -> tuple[str, ...]:
        """List the processes that listen."""
        return tuple(name for name, command in self._commands.items() if BOUND in command)

    def start(self, *names: str) -> None:
        """Start these processes."""
        for name in names:
            path = f"{self._env['PYTHONPATH']}:{self.root}"  # before the editable install of the working tree
            env = {**self._env, "PYTHONPATH": path, "TORTURE_CLOCK": str(self._logs / f"clock-{name}")}
            log = self._logs / f"{name}-{self.number}.log"
            self._running[name] = Supervisor({name: self._commands[name]}, env, log=log)
            self._running[name].start()

    def signal(self, name: str, how: signal.Signals) -> None:
        """Send a signal to a process and its children."""
        if name in self._running:
            self._running[name].kill(name, how)

    def stop(self, *names: str) -> None:
        """SIGTERM, wait, kill what has not ended; all at once."""
        stopping = [threading.Thread(target=self._running.pop(n).stop) for n in names if n in self._running]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()

    def pids(self) -> dict[str, int]:
        """List the process ids of what runs now."""
        return {n: pid for n, s in list(self._running.items()) if (pid := s.pid(n)) is not None}

    def _here(self, command: str) -> str:
        """Run in the version's folder, under a node name and a schedule of its own."""
        named = re.sub(r"-n (\w+)@", rf"-n \1-{self.number}@", command)
        return f"env -C {self.root} " + re.sub(r"(--schedule \S+)", rf"\1-{self.number}", named)
