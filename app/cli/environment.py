"""`tidegate environment …`: what is deployed where, and which history each environment accepts unseen."""

from __future__ import annotations

from typing import Annotated

import typer

from app.answers.gate import environment_json
from app.bootstrap import Process
from app.cli.output import JSON, command, console, listing, print_json, process, when
from app.domain.environment import BRANCHES, Environment
from app.domain.errors import NotFound
from app.domain.push import Baseline
from app.integrations.system import operator
from app.pipeline.approve.baseline import accept_history

app = typer.Typer(no_args_is_help=True, help="Environments, and the history that each accepts unseen.")


@app.command()
@command
def baseline(
    environment: str,
    commit: Annotated[str, typer.Argument(help="The full id of the commit whose history is accepted unseen.")],
    reason: Annotated[str, typer.Option(help="Why it is accepted; everybody can read it.")],
    ref: Annotated[str, typer.Option(help="The branch or tag that holds the commit.")] = f"{BRANCHES}main",
    as_json: JSON = False,
) -> None:
    """Accept the history of a commit unseen, as if it had been released. Policy decides whether you may (action `baseline`)."""
    full = ref if ref.startswith("refs/") else f"{BRANCHES}{ref}"
    accepted = accept_history(process().services, environment, commit, ref=full, reason=reason, by=operator())
    if as_json:
        return print_json(_answer(process(), _environment(process(), environment)))
    console.print(f"{environment} accepts the history of {accepted.sha[:12]} unseen, in the name of {accepted.accepted_by}")


@app.command("list")
@command
def list_(as_json: JSON = False) -> None:
    """List the environments, each with its release and the number of its baselines."""
    running = process()
    environments = running.services.guard().environments
    if as_json:
        return print_json([_answer(running, environment) for environment in environments])
    table = listing("name", "repository", "deploys", "release", "baselines")
    for environment in environments:
        release, baselines = _release(running, environment), _baselines(running, environment)
        row = (environment.name, environment.repository, ", ".join(environment.deploys))
        table.add_row(*row, release[:12] if release else "none", str(len(baselines)))
    console.print(table)


@app.command()
@command
def show(environment: str, as_json: JSON = False) -> None:
    """Show an environment, and the history that it accepts unseen."""
    running = process()
    found = _environment(running, environment)
    if as_json:
        return print_json(_answer(running, found))
    console.print(f"environment {found.name}\nrepository  {found.repository}\ndeploys     {', '.join(found.deploys)}")
    console.print(f"release     {_release(running, found) or 'none'}")
    table = listing("accepted", "commit", "by", "reason")
    for accepted in _baselines(running, found):
        table.add_row(when(accepted.accepted_at), accepted.sha, accepted.accepted_by, accepted.reason)
    console.print(table)


def _environment(running: Process, name: str) -> Environment:
    found = running.services.guard().environment(name)
    if found is None:
        raise NotFound(f"there is no environment {name}")
    return found


def _release(running: Process, environment: Environment) -> str | None:
    with running.services.store.reading() as unit:
        release = unit.deployments.last_release(environment.name)
    return release.sha if release is not None else None


def _baselines(running: Process, environment: Environment) -> list[Baseline]:
    with running.services.store.reading() as unit:
        return unit.baselines.all(environment.name)


def _answer(running: Process, environment: Environment) -> dict[str, object]:
    return environment_json(environment, _release(running, environment), _baselines(running, environment))
