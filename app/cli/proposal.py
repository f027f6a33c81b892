"""`tidegate proposal …`: what agents and people propose, deciding on it, and applying what was accepted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.approval import COMMENT
from app.cli.operator import acting_operator
from app.cli.output import JSON, LIMIT, coloured, command, console, listing, plain, print_json, process, short, when
from app.config.load import load_configuration
from app.domain.errors import NotAllowed
from app.domain.proposal import Proposal
from app.guard.load import KINDS
from app.integrations.system import operator
from app.pipeline.approve.apply_proposal import apply
from app.pipeline.approve.decide_proposal import accept, apply_command, reject
from app.pipeline.approve.propose import diff_of, proposal_named

app = typer.Typer(no_args_is_help=True, help="What agents and people propose, deciding on it, and applying what was accepted.")

PROPOSAL = Annotated[str, typer.Argument(help="The proposal's id, or an unambiguous beginning or end of it.")]
READABLE = 0o644


@app.command("list")
@command
def list_(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that may still come to something.")] = False,
    limit: LIMIT = 20,
    as_json: JSON = False,
) -> None:
    """List proposals, newest first."""
    running = process()
    now = running.clock.now()
    with running.services.store.reading() as unit:
        found = unit.proposals.newest(limit, open_at=now if only_open else None)
    if as_json:
        return print_json([_told(each, expired=each.has_expired(now)) for each in found])
    table = listing("made", "proposal", "who", "what", "state", "reason")
    for each in found:
        state = "expired" if each.has_expired(now) else each.state.value
        table.add_row(when(each.made_at), short(each.id), each.proposer, _what(each), coloured(state), each.reason)
    console.print(table)


@app.command()
@command
def show(proposal: PROPOSAL, as_json: JSON = False) -> None:
    """Show one proposal, and what a policy would change of the file in force."""
    running = process()
    found, now = proposal_named(running.services, proposal), running.clock.now()
    diff = diff_of(running.services.guard().policy, found)
    if as_json:
        return print_json(_told(found, expired=found.has_expired(now), text=found.text, diff=diff))
    console.print(f"proposal   {found.id}\nwhat       {_what(found)}\nwho        {found.proposer} at {when(found.made_at)}")
    console.print(f"reason     {found.reason}")
    said = f" by {found.decided_by}{f': {found.comment}' if found.comment else ''}" if found.decided_by else ""
    state = "expired" if found.has_expired(now) else found.state.value
    console.print("state     ", coloured(state), f"{said} (holds until {when(found.expires_at)})")
    if diff:
        console.print(diff)


@app.command("accept")
@command
def accept_(proposal: PROPOSAL, comment: COMMENT = "", as_json: JSON = False) -> None:
    """Accept: a rollback becomes your own; a change of policies may then be applied."""
    running = process()
    accepted = accept(running.services, proposal_named(running.services, proposal).id, acting_operator(running), comment)
    if as_json:
        return print_json(_told(accepted.proposal))
    if accepted.deployment is not None:
        return console.print(f"deployment {accepted.deployment.id} brings back {accepted.deployment.sha[:12]}, as your own act")
    console.print(f"accepted; it is in force after: {apply_command(accepted.proposal)}")


@app.command("reject")
@command
def reject_(proposal: PROPOSAL, comment: COMMENT = "", as_json: JSON = False) -> None:
    """Reject a proposal."""
    running = process()
    rejected = reject(running.services, proposal_named(running.services, proposal).id, acting_operator(running), comment)
    if as_json:
        return print_json(_told(rejected))
    console.print(f"proposal {rejected.id} is rejected")


@app.command("apply")
@command
def apply_(proposal: PROPOSAL, as_json: JSON = False) -> None:
    """Write an accepted change of policies into their folder, if the policies are still those that it was accepted for."""
    running = process()
    folder = load_configuration(running.settings.config, KINDS).policies
    found = proposal_named(running.services, proposal)
    applied = apply(running.services, found.id, operator(), lambda name, text: _write(folder / name, text))
    if as_json:
        return print_json(_told(applied))
    console.print(f"{applied.file} is in force, as {applied.decided_by} accepted it")


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, for whoever could read it before; raises NotAllowed."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        if path.is_symlink():
            raise NotAllowed(f"{path} is a link: change by hand what it leads to")
        mode = path.stat().st_mode & 0o777 if path.exists() else READABLE
        with fresh.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(mode)
        fresh.replace(path)
    except OSError as fault:
        fresh.unlink(missing_ok=True)
        raise NotAllowed(f"{path} cannot be written: {fault.strerror}") from None


def _what(each: Proposal) -> str:
    if each.file is not None:
        return f"policies: {each.file}"
    return f"rollback: {each.environment} to {short(each.release_id or '')}"


def _told(each: Proposal, **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = plain(each)
    return {name: value for name, value in told.items() if name != "text"} | more
