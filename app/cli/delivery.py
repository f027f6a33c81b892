"""`tidegate delivery …`: deliveries, what followed from them, and running one again."""

from __future__ import annotations

from typing import Annotated

import typer

from app.answers.delivery import delivery_json, detail_json
from app.answers.deployment import deployment_json
from app.cli.output import JSON, LIMIT, coloured, command, console, how_to_follow, listing, print_json, process, short, when
from app.domain.delivery import Delivery, DeliveryState
from app.domain.errors import NotFound
from app.integrations.system import operator
from app.pipeline.intake.replay import replay as replay_delivery

app = typer.Typer(no_args_is_help=True, help="Deliveries of the forges, and what followed from them.")


NAMES = "The delivery's id (an end or a beginning is enough), the id that the forge shows, or the commit."
DELIVERY = Annotated[str, typer.Argument(metavar="delivery", help=NAMES)]


@app.command("list")
@command
def list_(limit: LIMIT = 20, state: DeliveryState | None = None, as_json: JSON = False) -> None:
    """List deliveries, newest first."""
    deliveries = process().reads.deliveries(limit, state)
    if as_json:
        return print_json([delivery_json(delivery) for delivery in deliveries])
    table = listing("received", "delivery", "forge", "event", "ref", "state", "reason")
    for delivery in deliveries:
        ref = delivery.event.ref if delivery.event else ""
        row = (when(delivery.received_at), short(delivery.id), delivery.forge, delivery.event_header, ref)
        table.add_row(*row, coloured(delivery.state), delivery.reason or "")
    console.print(table)


@app.command()
@command
def show(name: DELIVERY, body: bool = False, as_json: JSON = False) -> None:
    """Show one delivery, the deployments that followed and its audit entries; --body prints its exact bytes."""
    reads = process().reads
    delivery = reads.delivery(name)
    if body:
        return typer.echo(_kept_body(delivery), nl=False)
    deployments = reads.deployments(100, delivery_id=delivery.id)
    if as_json:
        return print_json(detail_json(delivery, deployments, reads.audit(delivery_id=delivery.id)))
    received = f"{when(delivery.received_at)} from {delivery.forge} as {delivery.forge_delivery_id}"
    console.print(f"delivery   {delivery.id}\nreceived   {received}")
    console.print("state     ", coloured(delivery.state), delivery.reason or "")
    if delivery.event:
        event = delivery.event
        console.print(f"event      {event.kind} of {event.ref} in {event.repository.key} to {event.after or 'the tag'}")
        console.print(f"actor      {event.actor.key} ({event.actor.login})")
    if delivery.body_digest:
        console.print(f"body       no longer kept; its SHA-256 was {delivery.body_digest}")
    for deployment in deployments:
        console.print("deployment", deployment.id, deployment.environment, coloured(deployment.state))


def _kept_body(delivery: Delivery) -> bytes:
    if delivery.body_digest is None:
        return delivery.body
    raise NotFound(
        f"the body of delivery {delivery.id} is no longer kept (TIDEGATE_KEEP_BODIES); its SHA-256 was {delivery.body_digest}."
        f" It can still be replayed: tidegate delivery replay {short(delivery.id)}"
    )


@app.command()
@command
def replay(name: DELIVERY, as_json: JSON = False) -> None:
    """Run a delivery again, as your own act: policy decides about you, not about the pusher. It does not need the body."""
    running = process()
    deployments = replay_delivery(running.services, running.reads.delivery(name).id, operator())
    if as_json:
        return print_json([deployment_json(deployment) for deployment in deployments])
    for deployment in deployments:
        what = f"{deployment.sha[:12]} to {deployment.environment}"
        console.print(f"deployment {deployment.id} of {what} is planned. {how_to_follow(deployment.id)}")
