"""Find the line of a TOML key, which tomllib does not report: for faults that name file and line, not for parsing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

DEEPEST = 16
Where = tuple[str | int, ...]

_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


@dataclass(frozen=True, slots=True)
class Slip:
    """A value that was taken once and can never do what it says, with its place and what to write.

    `config check` refuses it, and a running gate keeps its rules. A gate that starts goes on with a warning, since an existing
    file must not stop it. `what` names the value, so that it is known again when lines move.
    """

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


def new_slips(slips: Iterable[Slip], former: Iterable[Slip]) -> list[Slip]:
    """List the slips that the former version did not have: they alone are refused, so that an old one holds no change up."""
    known = {slip.what for slip in former}
    return [slip for slip in slips if slip.what not in known]


def lines_of(text: str) -> dict[Where, int]:
    """Map each table and key (array tables by their index) to its line, counted from 1."""
    line_numbers: dict[Where, int] = {}
    counts: dict[str, int] = {}
    table: Where = ()

    def note(place: Where, number: int) -> None:
        for end in range(1, min(len(place), DEEPEST) + 1):
            line_numbers.setdefault(place[:end], number)

    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: TOML has no other line ends
        if header := _TABLE.match(line):
            name = header[2]
            table = tuple(_parts(name))
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                table = (*table, counts[name])
            note(table, number)
        elif key := _KEY.match(line):
            note((*table, *_parts(key[1])), number)
    return line_numbers


def line_of(lines: dict[Where, int], where: Sequence[str | int]) -> int:
    """Return the line of the longest known part of `where`; 1 if no part of it is written."""
    place = tuple(where)
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _parts(name: str) -> list[str]:
    return [part.strip().strip("\"'") for part in name.split(".")]


def bad_places(data: object) -> Iterator[tuple[Where, str]]:
    """Find NULs, which neither the database nor the file system takes, and values nested deeper than any setting."""
    left: list[tuple[Where, object]] = [((), data)]
    while left:
        where, value = left.pop()
        if len(where) > DEEPEST:
            yield where[:DEEPEST], "is nested too deeply"
        elif isinstance(value, str) and "\0" in value:
            yield where, "holds a NUL"
        elif isinstance(value, list):
            left += [((*where, index), item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            left += [((*where, key), item) for key, item in value.items()]
            left += [(where, key) for key in value]
