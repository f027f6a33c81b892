"""What processes cost, read from /proc: a process with all its descendants, and what those that ended have left."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Stat:
    """One line of /proc/PID/stat, as far as it is asked for (proc_pid_stat(5))."""

    pid: int
    parent: int
    seconds: float  # of processor time, with that of children that have ended and were waited for
    resident: int  # bytes


def parse_stat(text: str) -> Stat:
    """Read a stat line; the name in it may hold spaces and parentheses."""
    fields = text.rpartition(")")[2].split()
    ticks = sum(int(field) for field in fields[11:15])
    return Stat(int(text.split(" ", 1)[0]), int(fields[1]), ticks / TICKS, int(fields[21]) * PAGE)


def family(root: int, stats: Mapping[int, Stat]) -> list[Stat]:
    """List `root` and all its descendants."""
    found, parents = [], {root}
    while parents:
        found += [stats[pid] for pid in parents if pid in stats]
        parents = {stat.pid for stat in stats.values() if stat.parent in parents}
    return found


def all_stats() -> dict[int, Stat]:
    """Read every process's line."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = parse_stat(path.read_text())
        except (OSError, IndexError, ValueError):
            continue  # it ended while we looked
        stats[stat.pid] = stat
    return stats


def cpu_seconds(roots: Mapping[str, int]) -> dict[str, float]:
    """Return the processor time that each family has used since it began."""
    stats = all_stats()
    return {name: sum(s.seconds for s in family(pid, stats)) for name, pid in roots.items()}


def resident(pid: int) -> float:
    """Return the resident megabytes of a family; pages that its members share count once for each."""
    return sum(s.resident for s in family(pid, all_stats())) / 1e6


def proportional(roots: Mapping[str, int]) -> dict[str, float]:
    """Return each family's megabytes, shared pages divided by how many share them (Pss of smaps_rollup)."""
    stats = all_stats()
    return {name: sum(_pss(s.pid) for s in family(pid, stats)) / 1e6 for name, pid in roots.items()}


def _pss(pid: int) -> int:
    try:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0
