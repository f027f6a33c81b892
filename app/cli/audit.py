"""`tidegate audit …`: the append-only log."""

from __future__ import annotations

import typer

from app.answers.audit import entries_json
from app.cli.output import JSON, LIMIT, command, console, listing, print_json, process, when

ABOUT = ("reason", "subject", "account", "group", "client")  # of these, the first that is there is shown

app = typer.Typer(no_args_is_help=True, help="The append-only log.")


@app.callback()
def _noun() -> None:
    """Keep `show` a subcommand: without a callback, typer drops the name of an only command."""


@app.command()
@command
def show(deployment: str | None = None, delivery: str | None = None, limit: LIMIT = 100, as_json: JSON = False) -> None:
    """Show audit entries in order; of one deployment or delivery if named."""
    reads = process().reads
    entries = reads.audit(
        deployment_id=reads.deployment(deployment).deployment.id if deployment else None,
        delivery_id=reads.delivery(delivery).id if delivery else None,
        limit=limit,
    )
    if as_json:
        return print_json(entries_json(entries))
    table = listing("seq", "at", "action", "actor", "environment", "reason or subject")
    for entry in entries:
        detail = entry.detail
        row = (str(entry.seq), when(entry.at), entry.action, entry.actor, detail.get("environment", ""))
        table.add_row(*row, str(next((detail[name] for name in ABOUT if name in detail), "")))
    console.print(table)
