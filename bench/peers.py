"""What a user would otherwise run: Debian's `webhook` (adnanh), verifying the same signature, then starting a command."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from app.stack.scene import SECRET
from app.stack.server import answers
from bench.processes import all_stats
from tests.ports import free_port
from tests.programs import running

MISMATCH = 403  # without it `webhook` answers 200 where its rule does not fit; a signature that does not fit is a 500


def is_installed() -> bool:
    """Tell whether there is a `webhook` here."""
    return shutil.which("webhook") is not None


class Peer(NamedTuple):
    """A `webhook` that runs."""

    port: int
    pid: int


@contextmanager
def webhook(folder: Path, command: str) -> Iterator[Peer]:
    """Run `webhook` with one hook `gogs` that runs `command` where the signature fits."""
    signature = {"source": "header", "name": "X-Gogs-Signature"}
    rule = {"match": {"type": "payload-hmac-sha256", "secret": SECRET, "parameter": signature}}
    hook = {
        "id": "gogs",
        "execute-command": command,
        "command-working-directory": str(folder),
        "trigger-rule": rule,
        "trigger-rule-mismatch-http-response-code": MISMATCH,
    }
    hooks = folder / "hooks.json"
    hooks.write_text(json.dumps([hook]))
    port = free_port()
    start = ["webhook", "-hooks", str(hooks), "-ip", "127.0.0.1", "-port", str(port)]
    with running(start, folder / "webhook.log", lambda: answers(port)) as program:
        yield Peer(port, program.process.pid)


def counting_script(folder: Path) -> tuple[Path, Path]:
    """Write a script that adds a byte to a file each time it runs; return both."""
    script, count = folder / "count.sh", folder / "count"
    count.touch()
    script.write_text(f'#!/bin/sh\nprintf . >> "{count}"\n')
    script.chmod(0o755)
    return script, count


def stamping_script(folder: Path) -> tuple[Path, Path]:
    """Write a script that adds the time, in nanoseconds, to a file each time it runs; return both."""
    script, stamps = folder / "stamp.sh", folder / "stamps"
    stamps.touch()
    script.write_text(f'#!/bin/sh\ndate +%s%N >> "{stamps}"\n')
    script.chmod(0o755)
    return script, stamps


def until_still(counted: Path, seconds: float = 1.0) -> int:
    """Wait until a file has not grown for a while; return its size."""
    size = -1
    while (now := counted.stat().st_size) != size:
        size = now
        time.sleep(seconds)
    return size


def until_idle(pid: int, seconds: float = 0.3) -> float:
    """Wait until a process has had no child for a while; return the moment (of `perf_counter`) at which it had its last."""
    last = time.perf_counter()
    while (now := time.perf_counter()) - last < seconds:
        if any(stat.parent == pid for stat in all_stats().values()):
            last = now
        time.sleep(0.02)
    return last
