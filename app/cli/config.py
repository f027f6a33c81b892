"""`tidegate config …`: check the configuration before the gate uses it."""

from __future__ import annotations

from pathlib import Path

import typer

from app.answers.gate import configuration_json
from app.bootstrap import build, check_rules
from app.cli.output import JSON, command, console, errors, listing, print_json
from app.config.check import unwise
from app.config.example import write_example
from app.config.load import Configuration
from app.domain.errors import StoreUnavailable
from app.pipeline.ask.unnamed_rights import unnamed_rights
from app.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, help="Settings, tidegate.toml, people and policies.")


@app.command()
@command
def check(as_json: JSON = False) -> None:
    """Check settings, tidegate.toml, people and policies; list every fault with file and line."""
    settings = load_settings()
    configuration, guard = check_rules(settings)
    if as_json:
        return print_json(configuration_json(guard.digest, configuration.environments))
    table = listing("environment", "repository", "deploys", "targets", "audience")
    for environment in guard.environments:
        deploys, targets = ", ".join(environment.deploys), ", ".join(environment.targets)
        table.add_row(environment.name, environment.repository, deploys, targets, environment.audience)
    console.print(table)
    console.print(f"no faults; version {guard.digest[:12]}")
    _warn(settings, configuration)
    for warning in unnamed_rights(guard.policy):
        errors.print(f"warning: {warning}")


@app.command()
@command
def example(folder: Path = Path()) -> None:
    """Write a commented example configuration, if there is none."""
    for path in write_example(folder):
        console.print(f"wrote {path}")


def _warn(settings: Settings, configuration: Configuration) -> None:
    """Print settings that are allowed but risky."""
    for warning in unwise(settings):
        errors.print(f"warning: {warning}")
    unread = settings.config.parent / "people.toml"
    if configuration.people is None and unread.exists():
        errors.print(f'warning: {unread} is not read; set `people = "people.toml"` in tidegate.toml to make it a source again')
    try:
        if build(settings, pool_size=1).reads.may_change_audit():
            errors.print("warning: this database role may change audit entries; use a role that does not own the tables")
    except StoreUnavailable as fault:
        errors.print(f"warning: {fault}")
