"""`tidegate scim …`: the tokens of those who provision people by SCIM."""

from __future__ import annotations

import base64
from datetime import datetime

import typer

from app.bootstrap import Process
from app.cli.output import JSON, command, console, listing, print_json, process, short, when
from app.domain.access import SourceKind
from app.domain.audit import AuditAction
from app.domain.errors import BadRequest, NotFound
from app.integrations.system import operator, random_bytes
from app.pipeline.people.scribe import Scribe
from app.store.scim.tokens import ScimToken, SqlScimTokens, digest_of
from app.store.unit import SqlStore

TOKEN_BYTES = 32
LONGEST_CLIENT = 63

app = typer.Typer(no_args_is_help=True, help="Provisioning of people by SCIM.")
token = typer.Typer(no_args_is_help=True, help="The bearer tokens of SCIM clients.")
app.add_typer(token, name="token")


@token.command()
@command
def create(
    source: str, client: str = typer.Option(help="Who will use it, as the audit log will name it."), as_json: JSON = False
) -> None:
    """Make a token for a client of a configured source, and print it: it is shown this once."""
    this = process()
    _check(this, source, client)
    secret = "tgs_" + base64.urlsafe_b64encode(random_bytes(TOKEN_BYTES)).decode().rstrip("=")
    made = ScimToken(this.ids.new(), source, client, this.clock.now(), operator().key)
    with SqlStore(this.engine).unit() as unit:
        SqlScimTokens(unit.connection).add(made, digest_of(secret))
        _scribe(this).note(unit, [(AuditAction.ACCESS_TOKEN_CREATED, _told(made))])
    url = f"{str(this.settings.public_url).rstrip('/')}/scim/v2"
    if as_json:
        return print_json({"id": made.id, "source": source, "client": client, "token": secret, "url": url})
    console.print(f"token {made.id} of {client} for source {source}; it is not shown again:", soft_wrap=True)
    typer.echo(secret)
    console.print(f"base URL: {url}", soft_wrap=True)


@token.command("list")
@command
def show(as_json: JSON = False) -> None:
    """List all tokens ever made, without their secrets."""
    this = process()
    with SqlStore(this.engine).reading() as unit:
        tokens = SqlScimTokens(unit.connection).all()
    if as_json:
        return print_json(tokens)
    table = listing("id", "source", "client", "created", "by", "last used", "revoked")
    for each in tokens:
        made = (short(each.id), each.source, each.client, when(each.created_at), each.created_by)
        table.add_row(*made, _moment(each.last_used_at), _moment(each.revoked_at))
    console.print(table)


@token.command()
@command
def revoke(identifier: str = typer.Argument(metavar="ID"), as_json: JSON = False) -> None:
    """Revoke a token, named by its id or the end of it: from now on it is refused."""
    this = process()
    with SqlStore(this.engine).unit() as unit:
        revoked = SqlScimTokens(unit.connection).revoke(identifier, this.clock.now())
        if revoked is not None:
            _scribe(this).note(unit, [(AuditAction.ACCESS_TOKEN_REVOKED, _told(revoked))])
    if as_json:
        return print_json({"revoked": revoked})
    console.print(f"revoked the token of {revoked.client}" if revoked else "it was revoked before")


def _check(this: Process, source: str, client: str) -> None:
    binding = this.services.guard().sources.get(source)
    if binding is None or binding.rule.kind is not SourceKind.SCIM:
        raise NotFound(f'there is no [identity.{source}] with kind = "scim" in the configuration')
    if not client.strip() or not client.isprintable() or len(client) > LONGEST_CLIENT:
        raise BadRequest(f"a client's name is printable and has 1 to {LONGEST_CLIENT} characters")


def _scribe(this: Process) -> Scribe:
    return Scribe.of(this.clock, this.ids, operator().key)


def _told(each: ScimToken) -> dict[str, object]:
    return {"token": each.id, "source": each.source, "client": each.client}


def _moment(moment: datetime | None) -> str:
    return when(moment) if moment else "-"
