"""Find the line of a TOML key, which tomllib does not tell: for faults that name file and line, not for parsing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Where = tuple[str | int, ...]

_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")


def lines_of(text: str) -> dict[Where, int]:
    """Map each table and key (array tables by their index) to its line, counted from 1."""
    found: dict[Where, int] = {}
    counts: dict[str, int] = {}
    table: Where = ()

    def note(place: Where, number: int) -> None:
        for end in range(1, len(place) + 1):
            found.setdefault(place[:end], number)

    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: TOML knows no other line ends
        if header := _TABLE.match(line):
            name = header[2]
            table = tuple(_parts(name))
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                table = (*table, counts[name])
            note(table, number)
        elif key := _KEY.match(line):
            note((*table, *_parts(key[1])), number)
    return found


def line_of(lines: dict[Where, int], where: Sequence[str | int]) -> int:
    """Return the line of the longest known part of `where`; 1 where nothing of it is written."""
    place = tuple(where)
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


def _parts(name: str) -> list[str]:
    return [part.strip().strip("\"'") for part in name.split(".")]


def nul_places(value: object, where: Where = ()) -> Iterator[Where]:
    """Find texts and keys with a NUL, which neither the database nor the file system takes."""
    if isinstance(value, str) and "\0" in value:
        yield where
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from nul_places(each, (*where, index))
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from nul_places(key, where)
            yield from nul_places(each, (*where, key))
