"""`tidegate approval …`: what waits for other people's yes, and giving or refusing it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.bootstrap import Process
from app.cli.operator import acting_operator
from app.cli.output import JSON, coloured, command, console, listing, plain, print_json, process, short, when
from app.domain.approval import Verdict, Vote
from app.domain.errors import NotAllowed
from app.pipeline.approve.vote import vote
from app.pipeline.approve.waiting import Waiting, waiting, waiting_one

app = typer.Typer(no_args_is_help=True, help="What waits for other people's yes, and giving or refusing it.")

DEPLOYMENT = Annotated[str, typer.Argument(help="The deployment's id, or an unambiguous beginning or end of it.")]
COMMENT = Annotated[str, typer.Option(help="One line, kept with it and audited.")]


@app.command("list")
@command
def list_(environment: str | None = None, as_json: JSON = False) -> None:
    """List what waits for approvals, oldest first, and whether you may vote."""
    running = process()
    found = waiting(running.services, lambda: acting_operator(running), environment)
    if as_json:
        return print_json([_told(each) for each in found])
    table = listing("expires", "deployment", "environment", "commit", "who", "missing", "you")
    for each in found:
        who = each.deployment.principal or each.deployment.actor.key
        row = (when(each.request.expires_at), short(each.deployment.id), each.deployment.environment, each.request.sha[:12], who)
        table.add_row(*row, ", ".join(each.missing), each.why_not or "may vote")
    console.print(table)


@app.command()
@command
def show(deployment: DEPLOYMENT, as_json: JSON = False) -> None:
    """Show one that waits: what is asked for, who voted, what is missing, and whether you may vote."""
    running = process()
    found = running.reads.deployment(deployment).deployment
    waits = waiting_one(running.services, lambda: acting_operator(running), found.id)
    if waits is None:
        raise NotAllowed(f"deployment {found.id} does not wait for approvals, it is {found.state}: {found.reason or ''}")
    if as_json:
        return print_json(_told(waits))
    console.print(
        f"deployment {found.id} brings {waits.request.sha} of {found.ref} in {found.repository.key} to {found.environment}"
    )
    console.print(f"targets    {', '.join(waits.request.targets)}\nwho        {found.principal or found.actor.key}")
    print_waiting(waits)
    print_votes(waits.votes)
    console.print(f"you        {waits.why_not or f'may vote: tidegate approval approve {short(found.id)}'}")


@app.command()
@command
def approve(deployment: DEPLOYMENT, comment: COMMENT = "", as_json: JSON = False) -> None:
    """Say yes, as the person you are at the gate; given once."""
    _vote(deployment, Verdict.APPROVE, comment, as_json)


@app.command()
@command
def reject(deployment: DEPLOYMENT, comment: COMMENT = "", as_json: JSON = False) -> None:
    """Say no, which ends it."""
    _vote(deployment, Verdict.REJECT, comment, as_json)


def print_waiting(waits: Waiting) -> None:
    """Print what is missing, and until when."""
    console.print(f"waits      until {when(waits.request.expires_at)}: {waits.deployment.reason or ''}")
    console.print(f"missing    {', '.join(waits.missing) or 'to be decided anew'}")
    for subject, why in waits.count.fallen:
        console.print(f"fallen     the vote of {subject}: {why}")


def print_votes(votes: tuple[Vote, ...]) -> None:
    """Print who said what."""
    for each in votes:
        comment = f": {each.comment}" if each.comment else ""
        console.print("vote      ", coloured(each.verdict), f"by {each.subject} at {when(each.at)}{comment}")


def _vote(name: str, verdict: Verdict, comment: str, as_json: bool) -> None:
    running = process()
    found = running.reads.deployment(name).deployment
    given = vote(running.services, found.id, acting_operator(running), verdict, comment)
    if as_json:
        return print_json(_vote_told(given))
    console.print(f"{given.subject}: {given.verdict} deployment {found.id}. {_next(running, found.id)}")


def _next(running: Process, deployment_id: str) -> str:
    waits = waiting_one(running.services, lambda: acting_operator(running), deployment_id)
    return (
        f"It takes {', '.join(waits.missing)}" if waits is not None and waits.missing else "Follow it: tidegate deployment watch"
    )


def _told(each: Waiting) -> dict[str, Any]:
    return {
        "deployment": plain(each.deployment),
        "request": plain(each.request),
        "votes": [_vote_told(vote) for vote in each.votes],
        "valid": list(each.count.voters),
        "fallen": dict(each.count.fallen),
        "missing": list(each.missing),
        "may_vote": each.why_not is None,
        "why_not": each.why_not,
    }


def _vote_told(each: Vote) -> dict[str, Any]:
    told: dict[str, Any] = plain(each)
    return {name: value for name, value in told.items() if name != "context"}
