"""`tidegate gogs …`: the gate's check inside Gogs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from app.answers.gate import installed_json, removed_json
from app.cli.output import JSON, command, console, print_json
from app.config.tables.fields import Seconds
from app.domain.errors import BadRequest
from app.integrations.forges.pre_receive import Check, install, remove, require_repository
from app.integrations.forges.pre_receive_proof import check_secret, prove
from app.integrations.inspection.patch import GIT_ARGUMENTS
from app.integrations.secrets.file import FileSecrets
from app.settings import load_settings, temporary_folder

app = typer.Typer(no_args_is_help=True, help="The gate's check inside Gogs.")

CANNOT_STOP = """\
The gate is asked about pushes over HTTP and SSH, and about changes in the web editor. Gogs does not ask about merges of pull
requests, branches that are deleted or tags that a release makes on its pages, mirrors, and pushes on the server itself.
Those are judged when they would be deployed, and reported then (context.checked_at_push, and the event deployment:unchecked)."""


@app.command("install-hook")
@command
def install_hook(
    repository: Annotated[Path, typer.Argument(metavar="REPO_DIR", help="The bare repository, as Gogs has it on disk.")],
    forge: Annotated[str, typer.Option(help="The name of this Gogs in tidegate.toml.")] = "",
    secret_file: Annotated[
        Path | None, typer.Option(help="Holds one of its decide_secrets; Gogs' user must be able to read it.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="The gate's URL; by default, TIDEGATE_PUBLIC_URL.")] = None,
    is_closed: Annotated[
        bool, typer.Option("--fail-closed/--fail-open", help="Refuse pushes while the gate does not answer.")
    ] = True,
    timeout: Annotated[str, typer.Option(help="How long a push may be held up: 2s to 60s.")] = "5s",
    inspect: Annotated[
        bool, typer.Option("--inspect", help="Send new content, so that it is inspected before the push is taken.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a script that is not ours, and keep it beside.")] = False,
    asks: Annotated[
        bool, typer.Option("--ask/--no-ask", help="Ask the gate once, as Gogs' user, before anything is written.")
    ] = True,
    is_removed: Annotated[bool, typer.Option("--remove", help="Remove the check instead.")] = False,
    as_json: JSON = False,
) -> None:
    """Have Gogs ask the gate before it takes a push to this repository."""
    if is_removed:
        return _remove(repository, as_json)
    if not forge or secret_file is None:
        raise BadRequest("give --forge (the name of this forge) and --secret-file (the file with its secret)")
    require_repository(repository)
    check_secret(secret_file, FileSecrets().get(str(secret_file)), repository)
    check = Check(
        url=url or str(load_settings().public_url),
        forge=forge,
        secret_file=secret_file,
        is_closed=is_closed,
        seconds=_seconds(timeout),
        inspects=inspect,
        git_diff=GIT_ARGUMENTS,
    )
    if asks:
        prove(repository, check.script(), url=check.url, forge=forge, env=temporary_folder())
    replaced = install(repository, check, force=force)
    if as_json:
        return print_json(installed_json(repository, is_closed=is_closed, kept=replaced))
    console.print(f"{repository} asks {check.url} before it takes a push, and fails {'closed' if is_closed else 'open'}")
    if replaced is not None:
        console.print(f"the script that was there is kept as {replaced}")
    console.print(CANNOT_STOP)


def _remove(repository: Path, as_json: bool) -> None:
    removal = remove(repository)
    if as_json:
        return print_json(removed_json(removal))
    console.print(f"{repository} no longer asks the gate" if removal.was_there else "there was no check")
    if removal.restored is not None:
        console.print(f"the script that was there before is back, from {removal.restored}")


def _seconds(text: str) -> int:
    try:
        return round(TypeAdapter(Seconds).validate_python(text))
    except ValidationError:
        raise BadRequest(f"{text[:40]!r} is not a time limit, such as 5s") from None
