"""`tidegate approval …`: deployments that wait for approvals, and votes about them."""

from __future__ import annotations

from typing import Annotated

import typer

from app.answers.approval import vote_json, waiting_json
from app.bootstrap import Process
from app.cli.operator import acting_operator
from app.cli.output import JSON, coloured, command, console, how_to_follow, listing, print_json, process, short, when
from app.domain.approval import Verdict, Vote
from app.domain.errors import NotAllowed
from app.pipeline.approve.vote import vote as cast_vote
from app.pipeline.approve.waiting import Waiting, waiting, waiting_one

app = typer.Typer(no_args_is_help=True, help="Deployments that wait for approvals: list, approve, reject.")

DEPLOYMENT = Annotated[
    str, typer.Argument(metavar="deployment", help="The deployment's id, or an unambiguous beginning or end of it.")
]
COMMENT = Annotated[str, typer.Option(help="One line, kept and audited.")]


@app.command("list")
@command
def list_(environment: str | None = None, as_json: JSON = False) -> None:
    """List deployments that wait for approvals, oldest first, and whether you may vote."""
    running = process()
    approvals = waiting(running.services, lambda: acting_operator(running), environment)
    if as_json:
        return print_json([waiting_json(approval) for approval in approvals])
    table = listing("expires", "deployment", "environment", "commit", "who", "missing", "you")
    for approval in approvals:
        deployment, request = approval.deployment, approval.request
        who = deployment.principal or deployment.actor.key
        row = (when(request.expires_at), short(deployment.id), deployment.environment, request.sha[:12], who)
        table.add_row(*row, ", ".join(approval.missing), approval.why_not or "may vote")
    console.print(table)


@app.command()
@command
def show(name: DEPLOYMENT, as_json: JSON = False) -> None:
    """Show a waiting deployment: the request, the votes, what is missing, and whether you may vote."""
    running = process()
    deployment = running.reads.deployment(name).deployment
    waits = waiting_one(running.services, lambda: acting_operator(running), deployment.id)
    if waits is None:
        state = f"it is {deployment.state}: {deployment.reason or ''}"
        raise NotAllowed(f"deployment {deployment.id} does not wait for approvals, {state}")
    if as_json:
        return print_json(waiting_json(waits))
    change = f"{deployment.ref} in {deployment.repository.key} to {deployment.environment}"
    console.print(f"deployment {deployment.id} brings {waits.request.sha} of {change}")
    console.print(f"targets    {', '.join(waits.request.targets)}\nwho        {deployment.principal or deployment.actor.key}")
    print_waiting(waits)
    print_votes(waits.votes)
    console.print(f"you        {waits.why_not or f'may vote: tidegate approval approve {short(deployment.id)}'}")


@app.command()
@command
def approve(deployment: DEPLOYMENT, comment: COMMENT = "", as_json: JSON = False) -> None:
    """Approve, as the person signed in. A vote cannot be changed."""
    _vote(deployment, Verdict.APPROVE, comment, as_json)


@app.command()
@command
def reject(deployment: DEPLOYMENT, comment: COMMENT = "", as_json: JSON = False) -> None:
    """Reject, which ends the deployment."""
    _vote(deployment, Verdict.REJECT, comment, as_json)


def print_waiting(waits: Waiting) -> None:
    """Print what is missing, and until when."""
    console.print(f"waits      until {when(waits.request.expires_at)}: {waits.deployment.reason or ''}")
    console.print(f"missing    {', '.join(waits.missing) or 'nothing; it will be decided again'}")
    for subject, why in waits.count.fallen:
        console.print(f"void       the vote of {subject}: {why}")


def print_votes(votes: tuple[Vote, ...]) -> None:
    """Print the votes, one a line."""
    for vote in votes:
        comment = f": {vote.comment}" if vote.comment else ""
        console.print("vote      ", coloured(vote.verdict), f"by {vote.subject} at {when(vote.at)}{comment}")


def _vote(name: str, verdict: Verdict, comment: str, as_json: bool) -> None:
    running = process()
    deployment = running.reads.deployment(name).deployment
    vote = cast_vote(running.services, deployment.id, acting_operator(running), verdict, comment)
    if as_json:
        return print_json(vote_json(vote))
    console.print(f"{vote.subject}: {vote.verdict} deployment {deployment.id}. {_next_step(running, deployment.id)}")


def _next_step(running: Process, deployment_id: str) -> str:
    waits = waiting_one(running.services, lambda: acting_operator(running), deployment_id)
    if waits is not None and waits.missing:
        return f"It still needs {', '.join(waits.missing)}"
    return how_to_follow(deployment_id)
