"""Where the processor's time goes in receiver, worker and deployer under load, as py-spy sees it from outside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.drain import drain, fleet
from bench.drive import Driver
from bench.effort import Effort
from bench.pushes import pushes, write_requests
from bench.scenes import CONSUMERS, RECEIVER, Site
from bench.stacks import shares

CONNECTIONS = 64
Spies = dict[str, tuple[subprocess.Popen[str], Path]]
RATE = 200


def measure(effort: Effort) -> dict[str, Any]:
    """Record the receiver under 64 connections, then both consumers while they work off a backlog."""
    seconds, longer = effort.of(8, 3), effort.of(20, 12)  # a backlog reaches the deployer late
    with Site() as site:
        worked = fleet(site, effort.of(300, 120))
        effort.noise.sample()
        found = _receiver(site, seconds)
        effort.noise.sample()
        with site.sql() as sql:
            sql.execute("DELETE FROM deliveries WHERE state = 'pending'")
        spies: Spies = {}
        drain(worked, worked.branches, most_seconds=90, then=lambda: spies.update(_spies(site, CONSUMERS, longer)))
        found |= _ended(spies)
    return {"rooms": found, "seconds": seconds, "rate": RATE}


def _receiver(site: Site, seconds: int) -> dict[str, Any]:
    push = site.commit("profile", account=site.alice)
    file = site.folder / "requests"
    write_requests(file, pushes("/hooks/gogs", push, 4_000 * (seconds + 2)))
    with site.only_the_receivers():
        load = Driver(site.port, file, CONNECTIONS, seconds + 2).start()
        spies = _spies(site, [RECEIVER], seconds)
        load.finish()
        return _ended(spies)


def _spies(site: Site, names: Sequence[str], seconds: int) -> Spies:
    """Start py-spy on processes that run (it cannot take hold of one that is held still): who holds the interpreter?"""
    spies, program = {}, str(Path(sys.executable).parent / "py-spy")
    for name in names:
        out = site.folder / f"{name}.stacks"
        command = [program, "record", "--pid", str(site.roots()[name]), "--full-filenames", "--gil"]
        command += ["--subprocesses"] if name == RECEIVER else []  # granian works in a child; a worker's children are git
        command += ["--format", "raw", "--rate", str(RATE), "--duration", str(seconds), "--output", str(out)]
        spies[name] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), out
    return spies


def _ended(spies: Spies) -> dict[str, Any]:
    found = {}
    for name, (process, out) in spies.items():
        said, _ = process.communicate(timeout=120)
        if process.returncode != 0:
            raise RuntimeError(f"py-spy on {name}: {said.strip()[-300:]}")
        found[name] = shares(out.read_text().splitlines())
    return found
