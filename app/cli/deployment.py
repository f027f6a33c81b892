"""`tidegate deployment …`: list, show, follow and cancel deployments, and go back to an earlier release."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from app.answers.audit import entry_json
from app.answers.deployment import deployment_json, detail_json
from app.bootstrap import Process
from app.cli.approval import print_votes, print_waiting
from app.cli.operator import acting_operator, operating_principal
from app.cli.output import (
    FAILED,
    JSON,
    LIMIT,
    coloured,
    command,
    console,
    how_to_follow,
    listing,
    print_json,
    process,
    short,
    when,
)
from app.domain.audit import AuditEntry
from app.domain.deployment import Deployment, State
from app.domain.errors import NotFound
from app.integrations.system import operator
from app.pipeline.approve.cancel import cancel as cancel_deployment
from app.pipeline.approve.waiting import waiting_one
from app.pipeline.line.rollback import note_of
from app.pipeline.line.rollback import rollback as roll_back
from app.store.reads import DeploymentView

POLL_SECONDS = 0.2

app = typer.Typer(no_args_is_help=True, help="What is deployed where and why, and how to go back.")


@app.command("list")
@command
def list_(environment: str | None = None, limit: LIMIT = 20, as_json: JSON = False) -> None:
    """List deployments, newest first."""
    deployments = process().reads.deployments(limit, environment)
    if as_json:
        return print_json([deployment_json(deployment) for deployment in deployments])
    table = listing("created", "deployment", "environment", "commit", "who", "state", "why")
    for deployment in deployments:
        who = deployment.principal or f"{deployment.actor.key} ({deployment.actor.login})"
        why = f"{deployment.trigger}: {deployment.reason}" if deployment.reason else deployment.trigger.value
        row = (when(deployment.created_at), short(deployment.id), deployment.environment, deployment.sha[:12], who)
        table.add_row(*row, coloured(deployment.state), why)
    console.print(table)


@app.command()
@command
def show(deployment: str, as_json: JSON = False) -> None:
    """Show one deployment: its stages, dispatches and reasons."""
    running = process()
    view = running.reads.deployment(deployment)
    if as_json:
        return print_json(detail_json(view, running.reads.audit(deployment_id=view.deployment.id)))
    print_view(view)
    print_votes(view.votes)
    if view.deployment.state is State.HELD and (
        waits := waiting_one(running.services, lambda: acting_operator(running), view.deployment.id)
    ):
        print_waiting(waits)


def print_view(view: DeploymentView) -> None:
    """Print a deployment as its timeline."""
    deployment = view.deployment
    change = f"{deployment.ref} in {deployment.repository.key} to {deployment.environment} ({deployment.trigger})"
    who = f"{deployment.principal or 'not proven'} (account {deployment.actor.key}, login {deployment.actor.login})"
    console.print(f"deployment {deployment.id}\nbrings     {deployment.sha} of {change}\nwho        {who}")
    console.print("state     ", coloured(deployment.state), deployment.reason or "")
    if deployment.purpose:
        console.print(f"purpose    {deployment.purpose}")
    table = listing("stage", "outcome", "took", "policies")
    for stage in view.stages:
        took = f"{(stage.finished_at - stage.started_at).total_seconds() * 1000:.0f} ms"
        table.add_row(stage.stage, coloured(stage.outcome), took, ", ".join(stage.detail.get("policies", [])))
    console.print(table)
    for row in view.dispatches:
        attempts = f"{row.dispatch.attempts} attempt{'s' if row.dispatch.attempts != 1 else ''}"
        console.print(f"dispatch   {row.dispatch.id} on {row.dispatch.target}: {row.progress}, {attempts}. {row.detail}")


@app.command()
@command
def watch(deployment: str, timeout: float = 300.0, as_json: JSON = False) -> None:
    """Follow a deployment until it has ended; exit status 0 if it succeeded."""
    running = process()
    _follow(running, running.reads.deployment(deployment).deployment.id, timeout, as_json)


@app.command()
@command
def rollback(
    environment: str,
    to: Annotated[str | None, typer.Option(help="The release: a deployment's id, or its commit.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow it until it has ended.")] = False,
    as_json: JSON = False,
) -> None:
    """Deploy an earlier release again. Policy decides whether you may (action `rollback`)."""
    running = process()
    deployment = roll_back(running.services, environment, _release(running, to), operator())
    if as_json and not wait:
        return print_json(deployment_json(deployment))
    if not as_json:
        note = _note(running, deployment)
        console.print(f"deployment {deployment.id} is planned: it brings {environment} back to {deployment.sha[:12]}{note}")
    if wait:
        _follow(running, deployment.id, 300.0, as_json)
    console.print(how_to_follow(deployment.id))


@app.command()
@command
def cancel(
    deployment: str,
    reason: Annotated[str, typer.Option(help="Why; everybody can read it.")] = "",
    as_json: JSON = False,
) -> None:
    """End a deployment that is not dispatched yet. Policy decides whether you may (action `cancel`)."""
    running = process()
    found = running.reads.deployment(deployment).deployment
    ended = cancel_deployment(running.services, found.id, operating_principal(running), reason)
    if as_json:
        return print_json(deployment_json(ended))
    console.print(f"deployment {ended.id} is {ended.state}: {ended.reason}")


def _note(running: Process, deployment: Deployment) -> str:
    with running.services.store.reading() as unit:
        override = note_of(unit, deployment).get("by_override")
    return f", which came by override {short(override)}" if override is not None else ""


def _release(running: Process, name: str | None) -> str | None:
    """Return the id of the deployment that is named; if there is none, take the name for a commit."""
    try:
        return running.reads.deployment(name).deployment.id if name else None
    except NotFound:
        return name


def _follow(running: Process, deployment_id: str, timeout: float, as_json: bool) -> None:
    last_seq = 0
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        deployment = running.reads.deployment(deployment_id).deployment
        for entry in running.reads.audit(deployment_id=deployment_id):
            if entry.seq > last_seq:
                last_seq = entry.seq
                _print_entry(entry, as_json)
        if deployment.has_ended:
            _end(deployment)
        time.sleep(POLL_SECONDS)
    console.print(f"still {deployment.state} after {timeout:g} s")
    raise typer.Exit(FAILED)


def _print_entry(entry: AuditEntry, as_json: bool) -> None:
    if as_json:
        return print_json(entry_json(entry))
    console.print(coloured(entry.action.partition(":")[2]), entry.detail.get("reason", ""))


def _end(deployment: Deployment) -> None:
    raise typer.Exit(0 if deployment.state is State.SUCCEEDED else FAILED)
