"""`tidegate restart`: ask the running `tidegate up` of a state folder to replace its processes, and wait until it has."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from app.domain.errors import GateError, NotAllowed
from app.stack.supervisor import Supervisor

LOCK = "lock"
ANSWER = "restarted"
DONE = "done"
# Each takes work from the other at any time, so a second one may run beside the first. Workers come before the receiver:
# what the new receiver says, they understand.
REPLACED = ("worker", "deployer", "slow", "web")


def roll(supervisor: Supervisor, *, drain_within: float, say: Callable[[str], None]) -> None:
    """Replace every process, one after the other; raises GateError where one does not get to work (then it stays as it is)."""
    names = supervisor.names()
    for name in [n for n in REPLACED if n in names]:
        say(f"replacing {name}")
        supervisor.replace(name, drain_within=drain_within)
    for name in [n for n in names if n not in REPLACED]:
        say(f"restarting {name}")
        supervisor.renew(name)


def answer(state: Path, text: str) -> None:
    """Tell whoever asked how it went."""
    (state / ANSWER).write_text(text, encoding="utf-8")


def ask(state: Path, *, within: float) -> None:
    """Ask for a restart and wait for its end; raises NotAllowed (nothing runs there) or GateError (it failed)."""
    (state / ANSWER).unlink(missing_ok=True)
    try:
        os.kill(_runner(state), signal.SIGUSR1)
    except ProcessLookupError:
        raise NotAllowed(f"nothing runs on {state}") from None
    until = time.monotonic() + within
    while time.monotonic() < until:
        if (state / ANSWER).exists() and (said := (state / ANSWER).read_text(encoding="utf-8")):
            if said != DONE:
                raise GateError(said)
            return
        time.sleep(0.1)
    raise GateError(f"not done within {within:g} s; it goes on")


def _runner(state: Path) -> int:
    """Return the process that holds the folder's lock; raises NotAllowed where none does."""
    try:
        with (state / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        pass
    except BlockingIOError:
        if pid := (state / LOCK).read_text().strip():
            return int(pid)
    raise NotAllowed(f"nothing runs on {state}")
