"""Each command that a message or a page tells people to type is one, with the options and arguments that it takes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from app.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
TREE: Any = typer.main.get_command(app)
SOURCES = sorted(path for path in (ROOT / "app").rglob("*.py"))
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.*"), *ROOT.glob("app/**/*.html")])
# names of seals, the mark of the installed script, and prose
LABELS = ("csrf token", "signing key", "master key id", "pre-receive check", "is ", "on ")
HOLE = "HOLE"
NAMED = re.compile(r"\btidegate ((?:[a-z][\w-]*)[^\n`;,()|#]*)")
VALUE = re.compile(r"[A-Z<{\[\"'][^\s]*|[0-9a-f]{6,}\S*|\S*[:/=]\S*")


@dataclass(frozen=True)
class Named:
    """A command as it is named: its words, options, and how many arguments follow."""

    text: str
    words: tuple[str, ...]
    options: tuple[str, ...]
    arguments: int


def below(command: Any) -> dict[str, Any]:
    """Return the commands of a group by name; a command has none."""
    return getattr(command, "commands", {})


def texts_of(path: Path) -> Iterator[str]:
    """List the strings of a module that may be shown: all but docstrings, with a mark for each value that is put in."""
    tree = ast.parse(path.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)}
    inner = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node
    }
    for node in ast.walk(tree):
        if id(node) in docs or id(node) in inner:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def named_in(text: str) -> Iterator[Named]:
    """Find the commands in a text. Words behind the command that are neither an option nor a value are prose."""
    for match in NAMED.finditer(text):
        if match[1].startswith(LABELS):
            continue
        tokens, command, words = match[1].split(), TREE, list[str]()
        while tokens and (found := below(command).get(tokens[0].rstrip(".:"))):
            words.append(tokens.pop(0).rstrip(".:"))
            command = found
        options = [token.rstrip(".:").partition("=")[0] for token in tokens if token.startswith("--")]
        arguments = 0
        for token in tokens:
            if token.startswith("--") or not VALUE.fullmatch(token.rstrip(".:")):
                break
            arguments += 1
        rest = tokens[0] if tokens else ""
        yield Named(match[0], tuple(words) or (rest,), tuple(options), arguments)


def fault_of(named: Named, *, is_whole: bool) -> str | None:
    """Say what is wrong with a command, or None. `is_whole`: it must have all that the command requires."""
    command = TREE
    for word in named.words:
        if word not in below(command):
            return f"{named.text!r}: there is no command {word}"
        command = below(command)[word]
    if below(command):
        return f"{named.text!r}: {named.words[-1]} takes a command" if is_whole or named.arguments else None
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    if unknown := [option for option in named.options if option not in known]:
        return f"{named.text!r}: there is no option {unknown[0]}"
    needed = [parameter.opts for parameter in command.params if parameter.required and parameter.param_type_name == "option"]
    if is_whole and (lacking := [names for names in needed if not set(names) & set(named.options)]):
        return f"{named.text!r}: lacks {lacking[0][-1]}"
    taken = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    required = [parameter for parameter in taken if parameter.required]
    if is_whole and named.arguments < len(required):
        return f"{named.text!r}: lacks {required[named.arguments].name}"
    if named.arguments > len(taken) and all(parameter.nargs == 1 for parameter in taken):
        return f"{named.text!r}: takes {len(taken)} arguments"
    return None


def faults_in(text: str, *, is_whole: bool) -> list[str]:
    return [fault for named in named_in(text) if (fault := fault_of(named, is_whole=is_whole)) is not None]


def test_a_message_names_whole_commands() -> None:
    faults = [f"{path.relative_to(ROOT)}: {f}" for path in SOURCES for t in texts_of(path) for f in faults_in(t, is_whole=True)]
    assert faults == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_commands_that_exist(page: Path) -> None:
    spans = re.findall(r"```.*?```|`[^`]+`|@reason\([^\n]+", page.read_text(), re.DOTALL)
    assert [
        fault
        for span in spans
        for fault in faults_in(re.sub(r"(?<!`)\n\s*(?=[A-Z<-])", " ", span) if "```" not in span else span, is_whole=False)
    ] == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("tidegate delivery ID", "delivery takes a command"),
        ("see: tidegate deploy 7", "there is no command deploy"),
        ("see: tidegate deployment look 7", "deployment takes a command"),
        ("tidegate deployment rollback production --back", "there is no option --back"),
        ("undo it: tidegate delivery replay", "lacks name"),
        ("tidegate deployment watch ID OTHER", "takes 1 arguments"),
    ],
)
def test_what_does_not_exist_is_found(text: str, fault: str) -> None:
    (found,) = faults_in(text, is_whole=True)
    assert fault in found
