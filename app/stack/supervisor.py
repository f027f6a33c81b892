"""Run the Procfile: start every line, restart processes that die, and stop all of them and nothing else."""

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from app.domain.errors import GateError
from app.settings import READY_FILE

STOP_SECONDS = 8.0
READY_SECONDS = 180.0  # a loaded machine takes its time to start a Python process
SETTLE_SECONDS = 1.0  # from "ready" to the first message or connection that it takes
SHORTEST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
STEADY_SECONDS = 10.0
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)")


def read_procfile(path: Path) -> dict[str, str]:
    """Read `name: command` lines."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.partition(":") for line in lines if line and not line.startswith("#")]
    return {name.strip(): command.strip() for name, _, command in pairs}


def arguments(command: str, env: Mapping[str, str]) -> list[str]:
    """Split a command line as a shell would, without a shell; $NAME and ${NAME:-default} come from `env`."""

    def value(match: re.Match[str]) -> str:
        return env.get(match[1] or match[3]) or match[2] or ""

    return [_VARIABLE.sub(value, part) for part in shlex.split(command)]


@dataclass
class _Child:
    name: str
    argv: list[str]
    env: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    pause: float = SHORTEST_PAUSE
    alive: bool = False
    started_at: float = 0.0
    ready: Path | None = None
    retired: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class Supervisor:
    """Runs the commands of a Procfile, each in its own session. Output goes to `log` or stdout, each line with its name."""

    def __init__(
        self,
        commands: Mapping[str, str],
        env: Mapping[str, str] | Callable[[str], Mapping[str, str]],
        *,
        log: Path | None = None,
        stop_within: float | None = None,
    ) -> None:
        """Take the environment of all commands, or a function that returns a command's own."""
        self._children = {}
        for name, command in commands.items():
            own = _with_path(env(name) if callable(env) else env)
            self._children[name] = _Child(name, arguments(command, own), own)
        self._stopping = threading.Event()
        self._log = log
        self._stop_within = STOP_SECONDS if stop_within is None else stop_within
        self._retiring: list[_Child] = []
        self._replacing = threading.RLock()

    def start(self) -> None:
        """Start everything, each watched by a thread that restarts it."""
        for child in self._children.values():
            self._launch(child)

    def stop(self) -> None:
        """Ask all processes to end; kill those that have not ended in time."""
        self._stopping.set()
        _end([*self._children.values(), *self._retiring], self._stop_within)

    def names(self) -> list[str]:
        """List the names of the commands."""
        return list(self._children)

    def replace(self, name: str, *, drain_within: float) -> None:
        """Start a successor, wait until it says that it is at work, and only then ask the old process to end.

        Raises GateError if the successor does not get to work; then the old process stays.
        """
        with self._replacing, TemporaryDirectory(prefix="tidegate-") as folder:
            old = self._children[name]
            new = _Child(name, old.argv, old.env, ready=Path(folder) / "ready")
            self._launch(new)
            if not self._became_ready(new):
                _end([new], 0.0)
                raise GateError(f"the new {name} does not get to work; the old one stays")
            new.ready = None
            self._children[name] = new
            self._retire(old, drain_within)

    def renew(self, name: str) -> None:
        """End a process and start it anew; for processes of which there must not be two."""
        with self._replacing:
            self._retire(self._children[name], self._stop_within)
            new = _Child(name, self._children[name].argv, self._children[name].env)
            self._children[name] = new
            self._launch(new)

    def _launch(self, child: _Child) -> None:
        child.thread = threading.Thread(target=self._watch, args=(child,), name=f"watch-{child.name}", daemon=True)
        child.thread.start()

    def _became_ready(self, child: _Child) -> bool:
        assert child.ready is not None
        until = time.monotonic() + READY_SECONDS
        while not child.ready.exists():
            if time.monotonic() > until or self._stopping.wait(0.05):
                return False
        self._stopping.wait(SETTLE_SECONDS)
        return child.alive

    def _retire(self, child: _Child, within: float) -> None:
        """Let a process finish its work; kill it after its time."""
        self._retiring.append(child)
        _end([child], within)
        self._retiring.remove(child)

    def pid(self, name: str) -> int | None:
        """Return the process id of a running child."""
        child = self._children[name]
        return child.process.pid if child.alive and child.process is not None else None

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """Signal one child with all its processes, for fault tests."""
        _signal(self._children[name], how)

    def _watch(self, child: _Child) -> None:
        while not self._is_over(child):
            self._run_once(child)
            if self._is_over(child):
                return
            lived = time.monotonic() - child.started_at
            child.pause = SHORTEST_PAUSE if lived > STEADY_SECONDS else min(child.pause * 2, LONGEST_PAUSE)
            code = child.process.returncode if child.process else None
            self._say(child, f"ended with {code}; starting again in {child.pause:.1f} s")
            until = time.monotonic() + child.pause
            while time.monotonic() < until and not child.retired.is_set():
                self._stopping.wait(min(0.1, max(0.0, until - time.monotonic())))
                if self._stopping.is_set():
                    return

    def _is_over(self, child: _Child) -> bool:
        return self._stopping.is_set() or child.retired.is_set()

    def _run_once(self, child: _Child) -> None:
        child.started_at = time.monotonic()
        with child.lock:
            if self._is_over(child):
                return
            ready = {READY_FILE: str(child.ready)} if child.ready else {}
            try:
                child.process = subprocess.Popen(
                    child.argv,
                    env={**child.env, **ready},
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
        # Processes that the child leaves behind are killed while their process group still has its number.
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


def _with_path(env: Mapping[str, str]) -> dict[str, str]:
    """Let the environment find the programs that are installed beside Python."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{env.get('PATH', os.defpath)}"
    return {**env, "PATH": path, "PYTHONUNBUFFERED": "1"}


def _end(children: list[_Child], within: float) -> None:
    """Ask processes to end; kill them and their children when the time is over.

    Only the process itself is asked, not its children: a stage that it wants to finish needs its git.
    """
    for child in children:
        child.retired.set()
        with child.lock:
            _ask(child)
    until = time.monotonic() + within
    for child in children:
        _join(child, until - time.monotonic())
    for child in children:
        with child.lock:
            _signal(child, signal.SIGKILL)
    for child in children:
        _join(child, 2.0)


def _join(child: _Child, seconds: float) -> None:
    if child.thread is not None:
        child.thread.join(max(0.0, seconds))


def _ask(child: _Child) -> None:
    if child.alive and child.process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.process.pid, signal.SIGTERM)


def _signal(child: _Child, how: signal.Signals) -> None:
    # `alive` instead of poll(): that would take the dead child away from the thread that waits for it.
    if child.alive and child.process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.process.pid, how)
