"""`tidegate delivery …`: what came in, what followed from it, and running one again."""

from __future__ import annotations

import typer

from app.cli.output import JSON, LIMIT, coloured, command, console, listing, plain, print_json, process, short, when
from app.domain.delivery import DeliveryState
from app.integrations.system import operator
from app.pipeline.intake.replay import replay as replay_delivery

app = typer.Typer(no_args_is_help=True, help="What came in, and what followed from it.")


@app.command("list")
@command
def list_(limit: LIMIT = 20, state: DeliveryState | None = None, as_json: JSON = False) -> None:
    """List deliveries, newest first."""
    found = process().reads.deliveries(limit, state)
    if as_json:
        return print_json(found)
    table = listing("received", "delivery", "forge", "event", "ref", "state", "reason")
    for each in found:
        ref = each.event.ref if each.event else ""
        row = (when(each.received_at), short(each.id), each.forge, each.event_header, ref)
        table.add_row(*row, coloured(each.state), each.reason or "")
    console.print(table)


@app.command()
@command
def show(delivery: str, body: bool = False, as_json: JSON = False) -> None:
    """Show one delivery, the deployments that followed and its audit entries; --body prints its exact bytes."""
    reads = process().reads
    found = reads.delivery(delivery)
    if body:
        return typer.echo(found.body, nl=False)
    made = reads.deployments(100, delivery_id=found.id)
    entries = reads.audit(delivery_id=found.id)
    if as_json:
        return print_json(plain(found) | {"deployments": plain(made), "audit": plain(entries)})
    console.print(f"delivery   {found.id}\nreceived   {when(found.received_at)} from {found.forge} as {found.forge_delivery_id}")
    console.print("state     ", coloured(found.state), found.reason or "")
    if found.event:
        event = found.event
        console.print(f"event      {event.kind} of {event.ref} in {event.repository.key} to {event.after or 'the tag'}")
        console.print(f"actor      {event.actor.key} ({event.actor.login})")
    for deployment in made:
        console.print("deployment", deployment.id, deployment.environment, coloured(deployment.state))


@app.command()
@command
def replay(delivery: str, as_json: JSON = False) -> None:
    """Run a delivery again, as your own act: policy decides about you, not about who pushed."""
    running = process()
    found = running.reads.delivery(delivery)
    made = replay_delivery(running.services, found.id, operator())
    if as_json:
        return print_json(made)
    for deployment in made:
        console.print(f"deployment {deployment.id} of {deployment.sha[:12]} to {deployment.environment} is planned")
