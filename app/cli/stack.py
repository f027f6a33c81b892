"""`tidegate up` and `tidegate restart`: everything on this machine, until Ctrl-C."""

from __future__ import annotations

import queue
import signal
from pathlib import Path

from rich.table import Table

from app.cli.output import command, console
from app.settings import environ, forbid_inspection
from app.stack.restart import ask
from app.stack.up import Running, Stack

RESTART_SECONDS = 600.0


@command
def up() -> None:
    """Start Postgres, Redis, the receiver, workers, beat and Flower, and stop them on Ctrl-C."""
    forbid_inspection()  # it has the owner's URL, if that was given, and starts the processes that have the master key
    stack = Stack(environ())
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for wanted in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):  # SIGHUP: the terminal was closed
        signal.signal(wanted, lambda number, _: signals.put(number))
    try:
        running = stack.start(_say)
        _show(running)
        while signals.get() == signal.SIGUSR1:
            stack.restart(_say)
        console.print("stopping …", style="dim")
    finally:
        stack.stop()


@command
def restart() -> None:
    """Replace every process of the running `tidegate up` by a new one, without losing or delaying a delivery."""
    state = Path(environ().get("TIDEGATE_STATE_DIR", ".tidegate")).resolve()
    ask(state, within=RESTART_SECONDS)
    console.print("restarted")


def _say(text: str) -> None:
    console.print(f"{text} …", style="dim")


def _show(running: Running) -> None:
    table = Table(show_header=False, title="Tidegate is up", title_justify="left")
    password, file = running.flower_password, f"{running.state}/secrets/flower"
    secret = f"password {password} (shown once; kept in {file})" if password else f"password in {file}"
    table.add_row("receiver", f"{running.web_url}/hooks/<forge>")
    table.add_row("probes", f"{running.web_url}/healthz  /readyz  /metrics")
    table.add_row("Flower", running.flower_url)
    table.add_row("", f"user ops, {secret}")
    table.add_row("Postgres", running.postgres)
    table.add_row("Redis", running.redis)
    table.add_row("data", str(running.state))
    console.print(table)
    if running.written:
        console.print("There was no tidegate.toml. These example files were written for you to change:")
        for path in running.written:
            console.print(f"  {path}")
    console.print("Ctrl-C stops everything that was started here.")
