"""`tidegate freeze …`: windows in which policies may forbid what they allow at other times."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer

from app.cli.output import JSON, command, console, errors, listing, plain, print_json, process, short
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
    name: Annotated[str, typer.Argument(help="How it is called: a-z, 0-9 and -; policies can ask for it.")],
    reason: Annotated[str, typer.Option(help="Why, for whoever is held up by it.")],
    environment: Annotated[str | None, typer.Option(help="What is frozen.")] = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Freeze every environment.")] = False,
    starts: Annotated[str | None, typer.Option("--from", help='"2026-12-18 15:00", or with an offset; else now.')] = None,
    ends: Annotated[str | None, typer.Option("--to", help="When it ends, or the first of those that recur.")] = None,
    lasts: Annotated[str | None, typer.Option("--for", help="How long instead: 65h, 90m, 2d, 1w2d.")] = None,
    every: Annotated[str | None, typer.Option(help='"FREQ=WEEKLY;BYDAY=FR" (RFC 5545), or weekly, daily, ….')] = None,
    zone: Annotated[str | None, typer.Option("--time-zone", help="Europe/Berlin; else the environment's.")] = None,
    as_json: JSON = False,
) -> None:
    """Freeze an environment, or all, once or again and again; audited in your name."""
    if (environment is None) != everywhere:
        raise BadRequest("either --environment says what is frozen, or --everywhere")
    length = _length(lasts) if lasts is not None else None
    wanted = FreezeDraft(name, environment, reason, starts, ends, length, every, zone)
    running = process()
    made = freeze(running.services, wanted, operator())
    stands = status_of(made, running.clock.now())
    _warn_of_unheeded(running.services.guard(), made)
    if as_json:
        return print_json(_told(stands))
    console.print(f"{made.name} freezes {_what(made)}: {_state(stands)}{f', {made.rule}' if made.rule else ''}")


@app.command("list")
@command
def list_(
    environment: Annotated[str | None, typer.Option(help="Only what freezes this one.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also what is over or was ended.")] = False,
    as_json: JSON = False,
) -> None:
    """List freezes: which are in force, and when the others are next, each in its time zone."""
    found = upcoming(process().services, environment, everything=everything)
    if as_json:
        return print_json([_told(each) for each in found])
    table = listing("id", "name", "environment", "window", "recurs", "by", "reason")
    for each in found:
        made = each.freeze
        table.add_row(short(made.id), made.name, _what(made), _state(each), made.rule or "", made.added_by, made.reason)
    console.print(table)


@app.command("end")
@command
def end_(
    name: Annotated[str, typer.Argument(metavar="NAME_OR_ID", help="Its name, its id or the end of its id.")],
    as_json: JSON = False,
) -> None:
    """End a freeze for good, now; audited in your name."""
    ended = end(process().services, name, operator())
    if as_json:
        return print_json(_told(Upcoming(ended, is_in_force=False, window=None)))
    console.print(f"{ended.name} does not freeze {_what(ended)} any more")


def _warn_of_unheeded(guard: Guard, made: Freeze) -> None:
    """Name the environments of a freeze where no policy would forbid anything for it."""
    for each in guard.environments:
        if made.environment in (None, each.name) and not _is_heeded(guard.policy, each):
            errors.print(f"warning: no policy about {each.name} asks for context.frozen, so this freeze holds up nothing there")


def _is_heeded(policy: PolicyText, environment: Environment) -> bool:
    return any(policy.asks(fact, Action.DEPLOY, environment.resources) for fact in ("frozen", "freezes"))


def _told(each: Upcoming) -> dict[str, Any]:
    made = each.freeze
    told: dict[str, Any] = plain(made)
    return told | {
        "lasts": made.lasts.total_seconds(),
        "is_in_force": each.is_in_force,
        "window": plain(each.window),
        "fault": each.fault,
    }


def _what(made: Freeze) -> str:
    return made.environment or "everywhere"


def _state(each: Upcoming) -> str:
    made = each.freeze
    if each.window is not None:
        begins, ends = (_local(moment, made) for moment in (each.window.begins_at, each.window.ends_at))
        return f"in force until {ends}" if each.is_in_force else f"from {begins} until {ends}"
    if made.ended_at is not None:
        return f"ended {_local(made.ended_at, made)} by {made.ended_by}"
    return f"in force, since it is not understood: {each.fault}" if each.fault else "over"


def _local(moment: datetime, made: Freeze) -> str:
    """Spell a time in the freeze's zone; in the machine's own where that is not known here."""
    try:
        local = moment.astimezone(time_zone(made.time_zone))
    except BadRequest:
        local = moment.astimezone()
    return local.strftime("%a %Y-%m-%d %H:%M %Z")


def _length(text: str) -> timedelta:
    found = _LENGTH.match(text.strip().lower())
    if not text.strip() or found is None:
        raise BadRequest(f"{text[:40]!r} is no length: 65h, 90m, 2d, 1w2d12h")
    weeks, days, hours, minutes = (int(part or 0) for part in found.groups())
    return timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)
