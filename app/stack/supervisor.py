"""Run the Procfile: start every line, restart what dies, stop everything and nothing else."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

STOP_SECONDS = 8.0
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
STEADY_SECONDS = 10.0
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")


def read_procfile(path: Path) -> dict[str, str]:
    """Read `name: command` lines."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition(":") for line in lines if line and not line.startswith("#")]
    return {name.strip(): command.strip() for name, _, command in pairs}


def arguments(command: str, env: Mapping[str, str]) -> list[str]:
    """Split a command line as a shell would, with $NAME and ${NAME:-default} from `env`, and no shell."""

    def value(found: re.Match[str]) -> str:
        return env.get(found[1] or found[3]) or found[2] or ""

    return [_VARIABLE.sub(value, part) for part in shlex.split(command)]


@dataclass
class _Child:
    name: str
    argv: list[str]
    process: subprocess.Popen[bytes] | None = None
    pause: float = SHORTEST_PAUSE
    alive: bool = False
    started_at: float = 0.0
    restarts: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Supervisor:
    """Runs the commands of a Procfile, each in a session of its own; output goes to `out`, each line with its name."""

    def __init__(self, commands: Mapping[str, str], env: Mapping[str, str], *, log: Path | None = None) -> None:
        path = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.defpath)}"
        self._env = {**env, "PATH": path, "PYTHONUNBUFFERED": "1"}
        self._children = {name: _Child(name, arguments(command, self._env)) for name, command in commands.items()}
        self._stopping = threading.Event()
        self._log = log
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start everything, each watched by a thread that restarts it."""
        for child in self._children.values():
            thread = threading.Thread(target=self._watch, args=(child,), name=f"watch-{child.name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ask everything to end; kill what has not after eight seconds."""
        self._stopping.set()
        self._signal_all(signal.SIGTERM)
        until = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._signal_all(signal.SIGKILL)
        for thread in self._threads:
            thread.join(2.0)

    def pid(self, name: str) -> int | None:
        """Return the process id of a running child."""
        child = self._children[name]
        return child.process.pid if child.alive and child.process is not None else None

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Signal one child with all its processes, for fault tests."""
        _signal(self._children[name], how)

    def _watch(self, child: _Child) -> None:
        while not self._stopping.is_set():
            self._run_once(child)
            if self._stopping.is_set():
                return
            lived = time.monotonic() - child.started_at
            child.pause = SHORTEST_PAUSE if lived > STEADY_SECONDS else min(child.pause * 2, LONGEST_PAUSE)
            child.restarts += 1
            code = child.process.returncode if child.process else None
            self._say(child, f"ended with {code}; starting again in {child.pause:.1f} s")
            self._stopping.wait(child.pause)

    def _run_once(self, child: _Child) -> None:
        child.started_at = time.monotonic()
        with child.lock:
            if self._stopping.is_set():
                return
            try:
                child.process = subprocess.Popen(
                    child.argv,
                    env=self._env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as fault:
                self._say(child, f"cannot be started: {fault}")
                return
            child.alive = True
        reader = threading.Thread(target=self._relay, args=(child, child.process), daemon=True)
        reader.start()
        # Whatever the child leaves behind is killed while its process group still bears its number.
        os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, signal.SIGKILL)
        with child.lock:
            child.alive = False
            child.process.wait()
        reader.join(1.0)

    def _relay(self, child: _Child, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._say(child, line.decode(errors="replace").rstrip())

    def _say(self, child: _Child, text: str) -> None:
        line = f"{child.name:<9}| {text}\n"
        if self._log is None:
            sys.stdout.write(line)
            sys.stdout.flush()
        else:
            with self._log.open("a") as log:
                log.write(line)

    def _signal_all(self, how: signal.Signals) -> None:
        for child in self._children.values():
            with child.lock:
                _signal(child, how)


def _signal(child: _Child, how: signal.Signals) -> None:
    # Not asked by poll(), which would take the dead child away from the thread that waits for it.
    if child.alive and child.process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, how)
