"""`tidegate policy diff`: which policies were added, removed, changed or moved between two versions."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Annotated

import typer

from app.answers.answer import Json
from app.answers.policy import change_json
from app.cli.output import FAILED, JSON, command, console, print_json, process
from app.cli.policy.versions import policy_named
from app.integrations.policy.cedar import load
from app.integrations.policy.texts import Piece, pieces
from app.store.decisions import Decisions

VERSION = "A folder, or the digest of a kept version."


@command
def diff(
    one: Annotated[str, typer.Argument(help=VERSION)],
    other: Annotated[str | None, typer.Argument(help=f"{VERSION} By default, the policies in force.")] = None,
    as_json: JSON = False,
) -> None:
    """Compare two versions policy by policy, without layout and comments. Exit status 1 if they differ."""
    before, after = _pieces(one), _pieces(other)
    changes = [change for name in sorted(before.keys() | after.keys()) if (change := _change(before.get(name), after.get(name)))]
    if as_json:
        print_json(changes)
    else:
        for change in changes:
            console.print(f"{change['what']:<8} {change['policy']} ({change['place']})")
            for line in change["lines"]:
                console.print(f"    {line}")
        console.print(f"{len(changes)} of {len(before.keys() | after.keys())} policies differ")
    if any(change["what"] != "moved" for change in changes):
        raise typer.Exit(FAILED)


def _pieces(name: str | None) -> dict[str, Piece]:
    return {piece.written.id: piece for piece in pieces(_files(name))}


def _files(name: str | None) -> Mapping[str, str]:
    if name is not None and Path(name).is_dir():
        return load(Path(name)).files  # needs no gate, and so no database
    running = process()
    return running.services.guard().policy.files if name is None else policy_named(Decisions(running.engine), name).files


def _change(before: Piece | None, after: Piece | None) -> Json | None:
    if before is None and after is not None:
        return _change_of("added", after, [f"+{line}" for line in after.text.split("\n")])
    if before is not None and after is None:
        return _change_of("removed", before, [f"-{line}" for line in before.text.split("\n")])
    assert before is not None
    assert after is not None
    if before.parsed != after.parsed:
        lines = unified_diff(before.text.split("\n"), after.text.split("\n"), lineterm="", n=1)
        return _change_of("changed", after, list(lines)[2:])
    return _change_of("moved", after, [f"from {before.file}"]) if before.file != after.file else None


def _change_of(what: str, piece: Piece, lines: list[str]) -> Json:
    return change_json(what, piece.written.id, f"{piece.file}:{piece.line}", lines)
