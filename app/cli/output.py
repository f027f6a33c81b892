"""Shared by all commands: the process behind them, faults as one line and an exit code, and output for people and machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import wraps
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from app.answers.answer import Json
from app.bootstrap import Process, build
from app.domain.errors import (
    BadConfiguration,
    GateError,
    NotFound,
    RepositoryUnavailable,
    SinkUnavailable,
    SourceUnavailable,
    StoreUnavailable,
)
from app.settings import load_settings

FAILED, USAGE, NOT_FOUND, UNAVAILABLE = 1, 2, 3, 4
JSON = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]

LIMIT = Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")]
MARK = "\N{REPLACEMENT CHARACTER}"
GAP, LEAST_ROOM, INDENT = 2, 40, 4  # of a listing: between columns, for the last one, and of lines below a row
PIPE_WIDTH = 1000  # without a terminal, nothing is cut to the width of one


class PlainConsole(Console):
    """Shows texts from outside as they are: `[x]` is text, and a character that a terminal would obey becomes a mark."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Render a text, in a table too."""
        return super().render_str("".join(c if c.isprintable() or c == "\n" else MARK for c in text), **options)


console = PlainConsole(width=None if sys.stdout.isatty() else PIPE_WIDTH)
errors = PlainConsole(stderr=True, soft_wrap=True)
P = ParamSpec("P")
R = TypeVar("R")


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Turn the gate's errors into one line on stderr and the exit code of `exit_code`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except GateError as fault:
            errors.print(f"tidegate: {fault}", style="red")
            raise typer.Exit(exit_code(fault)) from None

    return run


def exit_code(fault: GateError) -> int:
    """Return the exit code of an error: 1 failed or denied, 2 bad configuration, 3 not found, 4 unavailable."""
    match fault:
        case BadConfiguration():
            return USAGE
        case NotFound():
            return NOT_FOUND
        case StoreUnavailable() | RepositoryUnavailable() | SourceUnavailable() | SinkUnavailable():
            return UNAVAILABLE
        case _:
            return FAILED


def process() -> Process:
    """Build this command's process."""
    return build(load_settings(), pool_size=2)


def print_json(answer: Json | Sequence[Json]) -> None:
    """Print an answer (`app/answers/`) as one JSON document on one line."""
    typer.echo(json.dumps(answer, default=str))


def when(moment: datetime) -> str:
    """Spell a time for people, in their zone."""
    return moment.astimezone().strftime("%m-%d %H:%M:%S")


def listing(*columns: str) -> Table:
    """Make a table that cuts nothing."""
    table = Listing(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name != columns[-1], overflow="fold")
    return table


class Listing(Table):
    """A table whose last column takes the room that is left. If that is too little, it has lines of its own below each row."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it by the width of the terminal."""
        rows = [[_as_text(console, cell) for cell in row] for row in zip(*map(_cells, self.columns), strict=True)]
        widths = [max(cell.cell_len for cell in column) for column in zip(*rows, strict=True)]
        room = options.max_width - sum(widths[:-1]) - GAP * (len(widths) - 1)
        if room >= min(LEAST_ROOM, widths[-1]):
            yield from super().__rich_console__(console, options)
            return
        for *row, last in rows:
            for cell, width in zip(row, widths, strict=False):
                cell.pad_right(width - cell.cell_len)
            yield Text(" " * GAP).join(row)
            yield Padding(last, (0, 0, 0, INDENT))


def _cells(column: Column) -> list[RenderableType]:
    return [column.header, *column.cells]


def _as_text(console: Console, cell: RenderableType) -> Text:
    return cell.copy() if isinstance(cell, Text) else console.render_str(str(cell))


def short(identifier: str) -> str:
    """Return the end of an id: it tells ids of one hour apart, and every command takes it for the id."""
    return identifier[-12:]


def how_to_follow(deployment_id: str) -> str:
    """Say how to learn what became of a deployment that goes on by itself."""
    return f"Follow it: tidegate deployment watch {short(deployment_id)}"


COLOURS = {"succeeded": "green", "planned": "blue", "denied": "red", "failed": "red", "superseded": "yellow", "held": "magenta"}


def coloured(state: str) -> Text:
    """Colour a state."""
    return Text(state, style=COLOURS.get(state, "cyan"))
