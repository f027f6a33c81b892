"""`tidegate up`: everything on this machine, until Ctrl-C."""

from __future__ import annotations

import signal
import threading

from rich.table import Table

from app.cli.output import command, console
from app.settings import environ
from app.stack.up import Running, Stack


@command
def up() -> None:
    """Start Postgres, Redis, the receiver, workers, beat and Flower, and stop them on Ctrl-C."""
    stack = Stack(environ())
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # the last: the terminal was closed
        signal.signal(name, lambda *_: ended.set())
    try:
        running = stack.start(lambda text: console.print(f"{text} …", style="dim"))
        _show(running)
        ended.wait()
        console.print("stopping …", style="dim")
    finally:
        stack.stop()


def _show(running: Running) -> None:
    table = Table(show_header=False, title="Tidegate is up", title_justify="left")
    password = running.flower_password
    known = f"password {password} (shown once; kept in {running.state}/secrets/flower)"
    table.add_row("receiver", f"{running.web_url}/hooks/<forge>")
    table.add_row("probes", f"{running.web_url}/healthz  /readyz  /metrics")
    table.add_row("Flower", running.flower_url)
    table.add_row("", f"user ops, {known if password else f'password in {running.state}/secrets/flower'}")
    table.add_row("Postgres", running.postgres)
    table.add_row("Redis", running.redis)
    table.add_row("data", str(running.state))
    console.print(table)
    if running.written:
        console.print("There was no tidegate.toml. An example was written for you to change:")
        for path in running.written:
            console.print(f"  {path}")
    console.print("Ctrl-C stops everything that was started here.")
