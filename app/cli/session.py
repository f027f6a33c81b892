"""`tidegate session …`: sign-ins of people at the gate: list them, and end all of a person."""

from __future__ import annotations

from typing import Annotated

import typer

from app.answers.people import sessions_ended_json, signed_in_json
from app.cli.output import JSON, LIMIT, command, console, listing, print_json, process, short, when
from app.integrations.system import operator
from app.pipeline.people.sign_out import end_all_sessions

app = typer.Typer(no_args_is_help=True, help="Sign-ins of people at the gate.")


@app.command("list")
@command
def list_(
    person: Annotated[str | None, typer.Argument(help="A subject; by default, everybody.")] = None,
    limit: LIMIT = 100,
    as_json: JSON = False,
) -> None:
    """List sessions that are alive, newest first."""
    running = process()
    with running.services.store.reading() as unit:
        sessions = unit.sessions.live(running.clock.now(), limit, subject=person)
    if as_json:
        return print_json([signed_in_json(session) for session in sessions])
    table = listing("signed in", "person", "issuer", "second factor", "address", "country", "session")
    for session in sessions:
        factor = when(session.mfa_at) if session.mfa_at else "-"
        row = (when(session.signed_in_at), session.subject, session.issuer, factor, session.address, session.country)
        table.add_row(*row, short(session.id))
    console.print(table)


@app.command()
@command
def end(person: Annotated[str, typer.Argument(help="The subject.")], as_json: JSON = False) -> None:
    """End all sessions of a person, and revoke overrides and rollbacks that were asked for in them and wait."""
    ended = end_all_sessions(process().services, person, operator())
    if as_json:
        return print_json(sessions_ended_json(person, ended))
    console.print(f"ended {ended} session{'' if ended == 1 else 's'} of {person}")
