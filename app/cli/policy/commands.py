"""`tidegate policy …`: check, test, explain and try out policies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from app.answers.policy import check_json, outcome_json, simulation_json
from app.cli.access.commands import who_can
from app.cli.options import AT, POLICIES, ago, moment, zone_of
from app.cli.output import FAILED, JSON, coloured, command, console, errors, print_json, process
from app.cli.policy.check_tests import run_tests
from app.cli.policy.diff import diff
from app.cli.policy.explain import explain
from app.cli.policy.replay import replay
from app.domain.decision import Action, Effect
from app.domain.environment import Environment
from app.domain.errors import BadRequest, GateError
from app.integrations.policy.cedar import load
from app.integrations.policy.protocol import PolicyText
from app.pipeline.ask.simulate import Simulation, Supposition, simulate
from app.pipeline.decide.what_if import as_sentence
from app.pipeline.evidence.content import path_facts
from app.pipeline.ports.services import Guard

app = typer.Typer(no_args_is_help=True, help="Check, test, explain and try out policies.")
app.command("explain")(explain)
app.command("who-can")(who_can)
app.command("diff")(diff)
app.command("replay")(replay)


@app.command()
@command
def check(
    folder: Annotated[Path | None, typer.Argument(help="A folder of policies; by default, those of tidegate.toml.")] = None,
    as_json: JSON = False,
) -> None:
    """Check policies, list every fault with file and line, and note what looks forgotten."""
    if folder is None:
        guard = process().services.guard()
        checked, notes = guard.policy, list(_notes(guard.policy, guard))
    else:
        checked = load(folder)
        notes = _notes_by_configuration(checked)
    if as_json:
        return print_json(check_json(checked, notes))
    for note in notes:
        errors.print(f"note: {note}", style="yellow")
    console.print(f"no faults in {len(checked.reasons)} policies; version {checked.digest[:12]}")


@app.command("test")
@command
def run_file(
    file: Annotated[Path, typer.Argument(help="A file of tests, TOML.")],
    policies: POLICIES = None,
    as_json: JSON = False,
) -> None:
    """Run a file of policy tests. Exit status 1 if an answer differs."""
    results = run_tests(file, policies)
    failed = [result for result in results if result.fault is not None]
    if as_json:
        print_json([outcome_json(result.name, result.decision, result.fault) for result in results])
    else:
        for result in results:
            console.print(coloured("ok" if result.fault is None else "failed"), result.name)
            if result.fault is not None:
                console.print(f"       {result.fault}")
        console.print(f"{len(results) - len(failed)} of {len(results)} as expected")
    if failed:
        raise typer.Exit(FAILED)


@app.command("simulate")
@command
def simulate_(
    user: Annotated[str, typer.Option(help="A subject, or an account as FORGE:ID.")],
    repo: Annotated[str, typer.Option(help="FORGE:OWNER/NAME")],
    ref: Annotated[str, typer.Option(help="A branch's name, or a full ref.")] = "main",
    at: AT = None,
    came_from: Annotated[
        str | None, typer.Option("--from", help="Where the person signed in from: an address, or a country (DE).")
    ] = None,
    action: Annotated[Action, typer.Option(help="The action.")] = Action.DEPLOY,
    environment: Annotated[str | None, typer.Option(help="Only this environment.")] = None,
    signed_in: Annotated[str | None, typer.Option(help="Age of the sign-in: 5m, 3h; by default, as it is.")] = None,
    second_factor: Annotated[str | None, typer.Option(help="Age of the second factor.")] = None,
    path: Annotated[list[str] | None, typer.Option(help="A changed path; may be repeated.")] = None,
    finding: Annotated[list[str] | None, typer.Option(help="A finding of inspection; may be repeated.")] = None,
    forced: Annotated[bool, typer.Option("--forced", help="The push is forced.")] = False,
    policies: POLICIES = None,
    as_json: JSON = False,
) -> None:
    """Show what the policies would answer, and what would change it. Nothing is deployed or kept."""
    running = process()
    guard = running.services.guard()
    supposition = Supposition(
        user,
        repo,
        ref if ref.startswith("refs/") else f"refs/heads/{ref}",
        action,
        environment,
        at=moment(at, zone_of(guard, environment or _only(guard, repo))),
        came_from=came_from,
        signed_in=ago(signed_in),
        second_factor=ago(second_factor),
        brings=_commit_facts(path or [], finding or [], forced),
    )
    simulations = simulate(running.services, supposition, load(policies) if policies is not None else None)
    if as_json:
        return print_json([simulation_json(simulation) for simulation in simulations])
    for simulation in simulations:
        _print(simulation, action)
    console.print("assumed    commits that known people wrote and signed, nothing wrong but what the options say, and no votes")


def _print(simulation: Simulation, action: Action) -> None:
    decision = simulation.decision
    console.print(coloured(decision.effect), f"{action} {simulation.environment}: {decision.reason}")
    if decision.effect is not Effect.ALLOW:
        console.print(f"           {as_sentence(simulation.ways) or 'nothing was found that would change it'}")


def _only(guard: Guard, repository: str) -> str | None:
    """Return the environment of a repository if it has only one: times are then read by its clock."""
    names = [e.name for e in guard.environments if e.repository.casefold() == repository.casefold()]
    return names[0] if len(names) == 1 else None


def _commit_facts(paths: list[str], findings: list[str], forced: bool) -> dict[str, Any]:
    """Spell the facts of commits as evidence spells them; raises BadRequest if a path cannot be one."""
    for name in paths:
        if not name or name.startswith("/"):
            raise BadRequest(f"{name!r} is not a path within a repository")
    brings: dict[str, Any] = {"forced": forced}
    if paths:
        brings["paths"], brings["paths_known"] = path_facts(paths)
    return brings | ({"findings": [{"kind": kind} for kind in findings]} if findings else {})


def _notes_by_configuration(policy: PolicyText) -> list[str]:
    try:
        return list(_notes(policy, process().services.guard()))
    except GateError as fault:  # policies may be checked on a machine without a gate
        return [f"these policies were not checked against a gate: {fault}"]


def _notes(policy: PolicyText, guard: Guard) -> Iterator[str]:
    """Note what is not a fault but looks forgotten."""
    groups = {group for standing in guard.identity.everybody() for group in standing.principal.groups}
    yield from (f'policies name the group "{name}", which has no members' for name in sorted(policy.groups - groups))
    known = {e.repository for e in guard.environments}
    yield from (
        f'policies name the repository "{name}", which no environment deploys' for name in sorted(policy.repositories - known)
    )
    yield from (f'policy "{name}" has no @reason for people' for name, reason in sorted(policy.reasons.items()) if not reason)
    yield from _idle_rules(policy, guard.environments)


def _idle_rules(policy: PolicyText, environments: Iterable[Environment]) -> Iterator[str]:
    for environment in environments:
        if environment.approvals.rules and not policy.asks("approvals", Action.DEPLOY, environment.resources):
            yield f"environment {environment.name} has rules for approvals, but no policy about it asks for context.approvals"
