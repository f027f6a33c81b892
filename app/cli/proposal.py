"""`tidegate proposal …`: proposals of agents and people: list, decide, and apply accepted changes."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from app.answers.proposal import detail_json, listed_json, proposal_json
from app.cli.approval import COMMENT
from app.cli.operator import acting_operator
from app.cli.output import JSON, LIMIT, coloured, command, console, listing, print_json, process, short, when
from app.config.load import load_configuration
from app.domain.errors import NotAllowed
from app.domain.proposal import Proposal
from app.guard.load import KINDS
from app.integrations.system import operator
from app.pipeline.approve.apply_proposal import apply
from app.pipeline.approve.decide_proposal import accept, apply_command, reject
from app.pipeline.approve.propose import diff_of, proposal_named

app = typer.Typer(no_args_is_help=True, help="Proposals of agents and people: decide on them, and apply accepted changes.")

PROPOSAL = Annotated[str, typer.Argument(metavar="proposal", help="The proposal's id, or an unambiguous beginning or end of it.")]
READABLE = 0o644


@app.command("list")
@command
def list_(
    only_open: Annotated[bool, typer.Option("--open", help="Only those that are still open.")] = False,
    limit: LIMIT = 20,
    as_json: JSON = False,
) -> None:
    """List proposals, newest first."""
    running = process()
    now = running.clock.now()
    with running.services.store.reading() as unit:
        proposals = unit.proposals.newest(limit, open_at=now if only_open else None)
    if as_json:
        return print_json([listed_json(proposal, now) for proposal in proposals])
    table = listing("made", "proposal", "who", "what", "state", "reason")
    for proposal in proposals:
        row = (when(proposal.made_at), short(proposal.id), proposal.proposer, _summary(proposal))
        table.add_row(*row, coloured(_state(proposal, now)), proposal.reason)
    console.print(table)


@app.command()
@command
def show(name: PROPOSAL, as_json: JSON = False) -> None:
    """Show one proposal; for a policy, with the changes to the file in force."""
    running = process()
    proposal, now = proposal_named(running.services, name), running.clock.now()
    diff = diff_of(running.services.guard().policy, proposal)
    if as_json:
        return print_json(detail_json(proposal, now, diff))
    console.print(f"proposal   {proposal.id}\nwhat       {_summary(proposal)}")
    console.print(f"who        {proposal.proposer} at {when(proposal.made_at)}\nreason     {proposal.reason}")
    comment = f": {proposal.comment}" if proposal.comment else ""
    decider = f" by {proposal.decided_by}{comment}" if proposal.decided_by else ""
    console.print("state     ", coloured(_state(proposal, now)), f"{decider} (expires {when(proposal.expires_at)})")
    if diff:
        console.print(diff)


@app.command("accept")
@command
def accept_(proposal: PROPOSAL, comment: COMMENT = "", as_json: JSON = False) -> None:
    """Accept. A rollback becomes your own act; a change of policies can then be applied."""
    running = process()
    accepted = accept(running.services, proposal_named(running.services, proposal).id, acting_operator(running), comment)
    if as_json:
        return print_json(proposal_json(accepted.proposal))
    if accepted.deployment is not None:
        return console.print(f"deployment {accepted.deployment.id} brings back {accepted.deployment.sha[:12]}, as your own act")
    console.print(f"accepted; to put it in force: {apply_command(accepted.proposal)}")


@app.command("reject")
@command
def reject_(proposal: PROPOSAL, comment: COMMENT = "", as_json: JSON = False) -> None:
    """Reject a proposal."""
    running = process()
    rejected = reject(running.services, proposal_named(running.services, proposal).id, acting_operator(running), comment)
    if as_json:
        return print_json(proposal_json(rejected))
    console.print(f"proposal {rejected.id} is rejected")


@app.command("apply")
@command
def apply_(proposal: PROPOSAL, as_json: JSON = False) -> None:
    """Write an accepted change of policies into their folder, if the policies are still those that it was accepted for."""
    running = process()
    folder = load_configuration(running.settings.config, KINDS).policies
    accepted = proposal_named(running.services, proposal)
    applied = apply(running.services, accepted.id, operator(), lambda name, text: _write(folder / name, text))
    if as_json:
        return print_json(proposal_json(applied))
    console.print(f"{applied.file} is in force, as {applied.decided_by} accepted it")


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all, with the mode that it had; raises NotAllowed if it cannot be written."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        if path.is_symlink():
            raise NotAllowed(f"{path} is a link; change the file that it points to by hand")
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


def _summary(proposal: Proposal) -> str:
    if proposal.file is not None:
        return f"policies: {proposal.file}"
    return f"rollback: {proposal.environment} to {short(proposal.release_id or '')}"


def _state(proposal: Proposal, now: datetime) -> str:
    return "expired" if proposal.has_expired(now) else proposal.state.value
