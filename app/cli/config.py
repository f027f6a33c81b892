"""`tidegate config …`: check the configuration before the gate uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import typer

from app.answers.gate import configuration_json
from app.bootstrap import build, check_rules, endorsing_key
from app.cli.output import JSON, command, console, errors, listing, print_json
from app.config.check import suggestions, unwise
from app.config.example import write_example
from app.config.load import Configuration
from app.config.tables.forges import shared_secrets
from app.domain.errors import StoreUnavailable
from app.domain.event import Event
from app.guard.advise import advise, unbound, widened
from app.integrations.forges.pre_receive import CURRENT_VERSION, INSTALL_ANEW
from app.pipeline.ask.unnamed_rights import unnamed_rights
from app.pipeline.ports.services import Guard
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
    _warn(settings, configuration, guard)
    for warning in unnamed_rights(guard.policy):
        errors.print(f"warning: {warning}")


@app.command()
@command
def example(folder: Path = Path()) -> None:
    """Write a commented example configuration, if there is none."""
    for path in write_example(folder):
        console.print(f"wrote {path}")


@app.command()
@command
def keyset_key() -> None:
    """Print the public key by which the receiver checks the keys that it publishes; needs TIDEGATE_MASTER_KEY."""
    console.print(endorsing_key(load_settings()))


def _warn(settings: Settings, configuration: Configuration, guard: Guard) -> None:
    """Print what is allowed but risky, or can never work, and what may be made narrower."""
    for warning in (*unwise(settings), *_unread(settings, configuration), *advise(configuration, guard.policy)):
        errors.print(f"warning: {warning}")
    for warning in shared_secrets(configuration.forges, [e.repository for e in configuration.environments]):
        errors.print(f"warning: {warning}")
    for suggestion in suggestions(settings):
        console.print(f"suggestion: {suggestion}")
    seen: list[Event] | None = None
    try:
        reads = build(settings, pool_size=1).reads
        for repository, version in sorted(reads.push_checks().items()):
            if version < CURRENT_VERSION:
                errors.print(f"warning: the check in {repository} is version {version}; {INSTALL_ANEW}")
        if reads.may_change_audit():
            errors.print("warning: this database role may change audit entries; use a role that does not own the tables")
        seen = reads.seen_events()
    except StoreUnavailable as fault:
        errors.print(f"warning: {fault}")
    for warning in widened(configuration, seen):
        errors.print(f"warning: {warning}")
    for hint in unbound(configuration, seen or ()):
        console.print(f"hint: {hint}")


def _unread(settings: Settings, configuration: Configuration) -> Iterator[str]:
    unread = settings.config.parent / "people.toml"
    if configuration.people is None and unread.exists():
        yield f'{unread} is not read; set `people = "people.toml"` in tidegate.toml to make it a source again'
