"""`tidegate restart`: ask the running `tidegate up` of a state folder to replace its processes, and wait until it has."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from app.domain.errors import BadConfiguration, GateError, NotAllowed
from app.ownership import NotOurs, check_own_folder
from app.stack.supervisor import Supervisor

LOCK = "lock"
ANSWER = "restarted"
DONE = "done"
# Two of one kind share the work, so a successor may run beside the old process. Workers come before the receiver, so that they
# understand what the new receiver sends.
REPLACED = ("worker", "deployer", "slow", "web")


def roll(supervisor: Supervisor, *, drain_within: float, say: Callable[[str], None]) -> None:
    """Replace every process, one after the other; raises GateError if a successor does not get to work (the old one stays)."""
    names = supervisor.names()
    for name in [n for n in REPLACED if n in names]:
        say(f"replacing {name}")
        supervisor.replace(name, drain_within=drain_within)
    for name in [n for n in names if n not in REPLACED]:
        say(f"restarting {name}")
        supervisor.renew(name)


def check_state(state: Path) -> None:
    """Raise BadConfiguration unless the state folder and its secrets are ours alone."""
    try:
        check_own_folder(state)
        check_own_folder(state / "secrets")
    except NotOurs as fault:
        raise BadConfiguration([f"TIDEGATE_STATE_DIR: {state} is not used: {fault}; run this as its owner"]) from None


def answer(state: Path, text: str) -> None:
    """Write the result for the `ask` that waits."""
    (state / ANSWER).write_text(text, encoding="utf-8")


def ask(state: Path, *, within: float) -> None:
    """Ask for a restart and wait for its end; raises NotAllowed (nothing runs there) or GateError (it failed)."""
    check_state(state)  # its lock names a process, which is sent a signal
    (state / ANSWER).unlink(missing_ok=True)
    try:
        os.kill(_runner(state), signal.SIGUSR1)
    except ProcessLookupError:
        raise NotAllowed(f"no `tidegate up` runs on {state}") from None
    until = time.monotonic() + within
    while time.monotonic() < until:
        if (state / ANSWER).exists() and (result := (state / ANSWER).read_text(encoding="utf-8")):
            if result != DONE:
                raise GateError(result)
            return
        time.sleep(0.1)
    raise GateError(f"the restart has not ended within {within:g} s; it goes on")


def _runner(state: Path) -> int:
    """Return the process that holds the folder's lock; raises NotAllowed if none does."""
    try:
        with (state / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        pass
    except BlockingIOError:
        if pid := (state / LOCK).read_text().strip():
            return int(pid)
    raise NotAllowed(f"no `tidegate up` runs on {state}")
