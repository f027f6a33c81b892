"""Watch the memory of processes (from /proc). A thread pool gives no memory back, so a process that is too big is replaced."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from app.domain.errors import GateError
from app.stack.restart import REPLACED
from app.stack.supervisor import Supervisor

_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_mib(session: int) -> float:
    """Add up the resident memory of a session's processes; 0 if the system does not tell."""
    return sum(_resident(path) for path in Path("/proc").glob("[0-9]*/stat") if _session(path) == session) / 2**20


class MemoryWatch:
    """Gives a successor to each process that holds more than `most_mib` at two looks in a row."""

    def __init__(self, supervisor: Supervisor, most_mib: float, drain_within: float, say: Callable[[str], None]) -> None:
        self._supervisor = supervisor
        self._most = most_mib
        self._drain_within = drain_within
        self._say = say
        self._before: set[str] = set()

    def look(self) -> None:
        """Look at every process that can have a successor beside it."""
        names = [name for name in REPLACED if name in self._supervisor.names()]
        big = {name for name in names if resident_mib(self._supervisor.pid(name) or -1) > self._most}
        for name in sorted(big & self._before):
            self._say(f"{name} holds more than {self._most:g} MiB: replacing it")
            try:
                self._supervisor.replace(name, drain_within=self._drain_within)
            except GateError as fault:
                self._say(str(fault))
        self._before = big - self._before


def _fields(path: Path) -> list[str]:
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return []  # it has ended


def _session(path: Path) -> int:
    fields = _fields(path)
    return int(fields[3]) if fields else -1


def _resident(path: Path) -> int:
    fields = _fields(path)
    return int(fields[21]) * _PAGE if fields else 0
