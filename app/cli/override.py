"""`tidegate override …`: deploy despite a hold or a denial, in everybody's sight, and review it afterwards."""

from __future__ import annotations

from typing import Annotated

import typer

from app.answers.deployment import deployment_json
from app.answers.override import override_json, review_json
from app.cli.approval import COMMENT, DEPLOYMENT
from app.cli.operator import acting_operator
from app.cli.output import JSON, LIMIT, coloured, command, console, how_to_follow, listing, print_json, process, short, when
from app.pipeline.approve.override import override
from app.pipeline.approve.review import review

app = typer.Typer(no_args_is_help=True, help="Deploy despite a hold or a denial, and review it afterwards.")


@app.command()
@command
def make(
    deployment: DEPLOYMENT,
    purpose: Annotated[str, typer.Option(help="Why this cannot wait; everybody can read it.")],
    as_json: JSON = False,
) -> None:
    """Deploy it as your own act. Needs a fresh second factor and the right `override`."""
    running = process()
    held = running.reads.deployment(deployment).deployment
    own = override(running.services, held.id, acting_operator(running), purpose)
    if as_json:
        return print_json(deployment_json(own))
    console.print(f"deployment {own.id} is planned as an override. {how_to_follow(own.id)}")
    console.print(f"Another person reviews it: tidegate override review {short(own.id)}")


@app.command("list")
@command
def list_(
    unreviewed: Annotated[bool, typer.Option("--unreviewed", help="Only those that went out and are not reviewed yet.")] = False,
    limit: LIMIT = 20,
    as_json: JSON = False,
) -> None:
    """List overrides, newest first, and who has reviewed them."""
    overrides = process().reads.overrides(limit, unreviewed=unreviewed)
    if as_json:
        return print_json([override_json(view) for view in overrides])
    table = listing("created", "deployment", "environment", "commit", "who", "state", "reviewed by", "purpose")
    for view in overrides:
        deployment = view.deployment
        row = (when(deployment.created_at), short(deployment.id), deployment.environment, deployment.sha[:12])
        reviewer = view.review.subject if view.review else "nobody"
        table.add_row(*row, deployment.actor.id, coloured(deployment.state), reviewer, deployment.purpose or "")
    console.print(table)


@app.command("review")
@command
def review_(deployment: DEPLOYMENT, comment: COMMENT = "", as_json: JSON = False) -> None:
    """Record your review of another person's override."""
    running = process()
    entry = review(running.services, running.reads.deployment(deployment).deployment.id, acting_operator(running), comment)
    if as_json:
        return print_json(review_json(entry))
    console.print(f"{entry.actor} has reviewed override {entry.deployment_id}")
