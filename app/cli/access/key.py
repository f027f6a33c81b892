"""`tidegate access key …`: the public keys of people who sign commits and tags."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.answers.people import key_json
from app.cli.output import JSON, command, console, listing, print_json, process
from app.domain.errors import BadKey
from app.domain.signature import CommitKey
from app.integrations.repositories.public_keys import LONGEST_KEY, read_public_key
from app.integrations.system import operator
from app.pipeline.people.commit_key import add_key, revoke_key
from app.settings import environ

app = typer.Typer(no_args_is_help=True, help="Public keys of people who sign commits and tags.")


@app.command()
@command
def add(
    subject: Annotated[str, typer.Argument(help="The owner's subject, as the identity sources spell it.")],
    file: Annotated[Path, typer.Argument(help="An OpenSSH public key (id_ed25519.pub), or `gpg --armor --export`.")],
    as_json: JSON = False,
) -> None:
    """Register a public key for a person. Audited in your name."""
    kind, public, fingerprint = read_public_key(_read(file), environ=environ())
    key = add_key(process().services, CommitKey("", subject, kind, public, fingerprint, is_revoked=False), operator())
    if as_json:
        return print_json(key_json(key))
    console.print(f"{key.fingerprint} ({key.kind.value}) is a key of {key.subject}")


@app.command("list")
@command
def list_(subject: str | None = None, as_json: JSON = False) -> None:
    """List keys, revoked ones too; of one principal if named."""
    with process().services.store.reading() as unit:
        keys = unit.commit_keys.all(subject)
    if as_json:
        return print_json([key_json(key) for key in keys])
    table = listing("fingerprint", "kind", "subject", "state")
    for key in keys:
        table.add_row(key.fingerprint, key.kind.value, key.subject, "revoked" if key.is_revoked else "valid")
    console.print(table)


@app.command()
@command
def revoke(fingerprint: str, as_json: JSON = False) -> None:
    """Revoke a key for good. All that it signed counts as badly signed from now on."""
    key = revoke_key(process().services, fingerprint, operator())
    if as_json:
        return print_json(key_json(key))
    console.print(f"{key.fingerprint} of {key.subject} is revoked")


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as text:
            return text.read(LONGEST_KEY + 1)
    except OSError as fault:
        raise BadKey(f"{file}: cannot be read: {fault.strerror}") from None
