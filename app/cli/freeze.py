"""`tidegate freeze …`: windows in which policies may forbid what they allow at other times."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

import typer

from app.answers.freeze import freeze_json
from app.cli.output import JSON, command, console, errors, listing, print_json, process, short
from app.domain.decision import Action
from app.domain.environment import Environment
from app.domain.errors import BadRequest
from app.domain.freeze import Freeze
from app.domain.local_time import time_zone
from app.integrations.policy.protocol import PolicyText
from app.integrations.system import operator
from app.pipeline.freeze.draft import FreezeDraft
from app.pipeline.freeze.freeze import Upcoming, end, freeze, status_of, upcoming
from app.pipeline.ports.services import Guard

app = typer.Typer(no_args_is_help=True, help="Windows in which policies may forbid what they allow at other times.")

_LENGTH = re.compile(r"\A(?:(\d{1,4})w)?(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?\Z")


@app.command()
@command
def add(
    name: Annotated[str, typer.Argument(help="Its name (a-z, 0-9, -); policies can ask for it.")],
    reason: Annotated[str, typer.Option(help="The reason, for people whom it holds up.")],
    environment: Annotated[str | None, typer.Option(help="The environment to freeze.")] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Freeze every environment.")] = False,
    starts: Annotated[str | None, typer.Option("--from", help='"2026-12-18 15:00", or with an offset; by default, now.')] = None,
    ends: Annotated[str | None, typer.Option("--to", help="When it ends; if it recurs, when its first window ends.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", help="Its length, instead of an end: 65h, 90m, 2d, 1w2d.")] = None,
    every: Annotated[str | None, typer.Option(help='"FREQ=WEEKLY;BYDAY=FR" (RFC 5545), or weekly, daily, ….')] = None,
    zone: Annotated[str | None, typer.Option("--time-zone", help="Such as Europe/Berlin; by default, the environment's.")] = None,
    as_json: JSON = False,
) -> None:
    """Freeze one environment or all, once or repeatedly. Audited in your name."""
    if (environment is None) != everywhere:
        raise BadRequest("give either --environment or --everywhere")
    length = _length(lasts) if lasts is not None else None
    draft = FreezeDraft(name, environment, reason, starts, ends, length, every, zone)
    running = process()
    new_freeze = freeze(running.services, draft, operator())
    status = status_of(new_freeze, running.clock.now())
    _warn_if_unheeded(running.services.guard(), new_freeze)
    if as_json:
        return print_json(freeze_json(status))
    recurs = f", {new_freeze.rule}" if new_freeze.rule else ""
    console.print(f"{new_freeze.name} freezes {_scope(new_freeze)}: {_state(status)}{recurs}")


@app.command("list")
@command
def list_(
    environment: Annotated[str | None, typer.Option(help="Only freezes of this environment.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also freezes that are over or were ended.")] = False,
    as_json: JSON = False,
) -> None:
    """List freezes: which are in force, and when the others are next, each in its time zone."""
    statuses = upcoming(process().services, environment, everything=everything)
    if as_json:
        return print_json([freeze_json(status) for status in statuses])
    table = listing("id", "name", "environment", "window", "recurs", "by", "reason")
    for status in statuses:
        frozen = status.freeze
        row = (short(frozen.id), frozen.name, _scope(frozen), _state(status), frozen.rule or "")
        table.add_row(*row, frozen.added_by, frozen.reason)
    console.print(table)


@app.command("end")
@command
def end_(
    name: Annotated[str, typer.Argument(metavar="NAME_OR_ID", help="Its name, its id or the end of its id.")],
    as_json: JSON = False,
) -> None:
    """End a freeze for good, now. Audited in your name."""
    ended = end(process().services, name, operator())
    if as_json:
        return print_json(freeze_json(Upcoming(ended, is_in_force=False, window=None)))
    console.print(f"{ended.name} no longer freezes {_scope(ended)}")


def _warn_if_unheeded(guard: Guard, new_freeze: Freeze) -> None:
    """Warn about each environment of a freeze whose policies never ask about freezes."""
    for environment in guard.environments:
        if new_freeze.environment in (None, environment.name) and not _is_heeded(guard.policy, environment):
            why = f"no policy about {environment.name} asks for context.frozen"
            errors.print(f"warning: {why}, so this freeze stops nothing there")


def _is_heeded(policy: PolicyText, environment: Environment) -> bool:
    return any(policy.asks(fact, Action.DEPLOY, environment.resources) for fact in ("frozen", "freezes"))


def _scope(frozen: Freeze) -> str:
    return frozen.environment or "everywhere"


def _state(status: Upcoming) -> str:
    frozen, window = status.freeze, status.window
    if window is not None:
        begins, ends = (_local(moment, frozen) for moment in (window.begins_at, window.ends_at))
        return f"in force until {ends}" if status.is_in_force else f"from {begins} until {ends}"
    if frozen.ended_at is not None:
        return f"ended {_local(frozen.ended_at, frozen)} by {frozen.ended_by}"
    return f"in force, because it cannot be evaluated: {status.fault}" if status.fault else "over"


def _local(moment: datetime, frozen: Freeze) -> str:
    """Spell a time in the freeze's zone, or in the machine's own if that zone is not known here."""
    try:
        local = moment.astimezone(time_zone(frozen.time_zone))
    except BadRequest:
        local = moment.astimezone()
    return local.strftime("%a %Y-%m-%d %H:%M %Z")


def _length(text: str) -> timedelta:
    match = _LENGTH.match(text.strip().lower())
    if not text.strip() or match is None:
        raise BadRequest(f"{text[:40]!r} is not a length, such as 65h, 90m, 2d or 1w2d12h")
    weeks, days, hours, minutes = (int(part or 0) for part in match.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)
