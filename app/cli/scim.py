"""`tidegate scim …`: the tokens of clients that provision people by SCIM."""

from __future__ import annotations

from datetime import datetime

import typer

from app.answers.scim import created_json, revoked_json, token_json
from app.cli.output import JSON, command, console, listing, print_json, process, short, when
from app.integrations.system import operator, random_bytes
from app.pipeline.people.scim_token import create_token, list_tokens, revoke_token

app = typer.Typer(no_args_is_help=True, help="Provisioning of people by SCIM.")
token = typer.Typer(no_args_is_help=True, help="The bearer tokens of SCIM clients.")
app.add_typer(token, name="token")


@token.command()
@command
def create(
    source: str, client: str = typer.Option(help="The client's name, as the audit log will show it."), as_json: JSON = False
) -> None:
    """Make a token for a client of a configured source, and print it. It is shown only once."""
    running = process()
    issued, secret = create_token(running.services, source, client, by=operator(), random=random_bytes)
    url = f"{str(running.settings.public_url).rstrip('/')}/scim/v2"
    if as_json:
        return print_json(created_json(issued, secret=secret, url=url))
    console.print(f"token {issued.id} of {client} for source {source}; it is not shown again:", soft_wrap=True)
    typer.echo(secret)
    console.print(f"base URL: {url}", soft_wrap=True)


@token.command("list")
@command
def show(as_json: JSON = False) -> None:
    """List all tokens ever made, without their secrets."""
    tokens = list_tokens(process().services)
    if as_json:
        return print_json([token_json(issued) for issued in tokens])
    table = listing("id", "source", "client", "created", "by", "last used", "revoked")
    for issued in tokens:
        row = (short(issued.id), issued.source, issued.client, when(issued.created_at), issued.created_by)
        table.add_row(*row, _moment(issued.last_used_at), _moment(issued.revoked_at))
    console.print(table)


@token.command()
@command
def revoke(identifier: str = typer.Argument(metavar="ID"), as_json: JSON = False) -> None:
    """Revoke a token, named by its id or the end of it. From now on it is refused."""
    revoked = revoke_token(process().services, identifier, operator())
    if as_json:
        return print_json(revoked_json(revoked))
    console.print(f"revoked the token of {revoked.client}" if revoked else "it was already revoked")


def _moment(moment: datetime | None) -> str:
    return when(moment) if moment else "-"
