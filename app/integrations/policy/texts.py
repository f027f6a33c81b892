"""Policies as they are written: the file and line of each, its own text, and the files of a kept version."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, islice

from app.integrations.policy.lint import ParsedPolicy, blank_out, parsed_of, policies_of

MOST_TRIES = 5_000  # ways to split a kept text; the first one fits, unless a comment looks like a file's name
_FILE = re.compile(r"^// (.+\.cedar)\n", re.MULTILINE)
_BEGINS = re.compile(r"^[ \t]*(?:@|permit\b|forbid\b)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Piece:
    """One policy and its place. `parsed` is its meaning in one spelling: layout and comments do not count."""

    written: ParsedPolicy
    file: str
    line: int
    text: str
    parsed: str


def pieces(texts: Mapping[str, str]) -> list[Piece]:
    """List the policies of these files, in order; raises ValueError if one does not parse."""
    return [piece for name in sorted(texts) for piece in _pieces(name, texts[name])]


def _pieces(name: str, text: str) -> Iterator[Piece]:
    meanings = [json.dumps(policy, sort_keys=True) for policy, _ in parsed_of(text)]
    start = 0
    for policy, meaning, end in zip(policies_of(text), meanings, _ends(text), strict=True):
        begins = _BEGINS.search(blank_out(text[:end]), start)
        start = begins.start() if begins else start
        yield Piece(policy, name, text.count("\n", 0, start) + 1, text[start:end].strip(), meaning)
        start = end


def _ends(text: str) -> list[int]:
    """List the offsets at which policies end: after each `;` that is neither in a string nor in a comment."""
    return [semicolon.end() for semicolon in re.finditer(";", blank_out(text))]


def files_of(text: str, fits: Callable[[Mapping[str, str]], bool]) -> dict[str, str] | None:
    """Split the text of a kept version into its files (`// NAME` stands before each). None: no way to split it `fits`."""
    starts = [(heading.start(), heading.end(), heading[1]) for heading in _FILE.finditer(text)]
    if not starts or starts[0][0] != 0:
        first = text.partition("\n")[0]
        starts.insert(0, (0, len(first) + 1, first.removeprefix("// ")))
    later = range(1, len(starts))
    ways = (left_out for count in range(len(starts)) for left_out in combinations(later, count))
    for left_out in islice(ways, MOST_TRIES):
        files = _split_at(text, [start for number, start in enumerate(starts) if number not in left_out])
        if fits(files):
            return files
    return None


def _split_at(text: str, starts: list[tuple[int, int, str]]) -> dict[str, str]:
    ends = [start - 1 for start, _, _ in starts[1:]] + [len(text)]
    return {name: text[begin:end] for (_, begin, name), end in zip(starts, ends, strict=True)}
