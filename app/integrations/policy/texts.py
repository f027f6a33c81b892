"""Policies as they are written: which file and line each stands in, its own text, and the files behind a kept version."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, islice

from app.integrations.policy.lint import ParsedPolicy, blank_out, parsed_of, policies_of

MOST_TRIES = 5_000  # of ways to take a kept text apart; the first one fits, unless a policy's comment looks like a file's name
_FILE = re.compile(r"^// (.+\.cedar)\n", re.MULTILINE)
_BEGINS = re.compile(r"^[ \t]*(?:@|permit\b|forbid\b)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Piece:
    """One policy and where it is written. `parsed` is what it means, in one spelling: layout and comments do not count."""

    written: ParsedPolicy
    file: str
    line: int
    text: str
    parsed: str


def pieces(texts: Mapping[str, str]) -> list[Piece]:
    """List the policies of these files, in order; raises ValueError where one does not parse."""
    return [piece for name in sorted(texts) for piece in _pieces(name, texts[name])]


def _pieces(name: str, text: str) -> Iterator[Piece]:
    parsed = [json.dumps(policy, sort_keys=True) for policy, _ in parsed_of(text)]
    start = 0
    for written, meaning, end in zip(policies_of(text), parsed, _ends(text), strict=True):
        begins = _BEGINS.search(blank_out(text[:end]), start)
        start = begins.start() if begins else start
        yield Piece(written, name, text.count("\n", 0, start) + 1, text[start:end].strip(), meaning)
        start = end


def _ends(text: str) -> list[int]:
    """List where policies end: behind each `;` that is neither in a text nor in a comment."""
    return [found.end() for found in re.finditer(";", blank_out(text))]


def files_of(kept: str, fits: Callable[[Mapping[str, str]], bool]) -> dict[str, str] | None:
    """Take the text of a kept version apart into its files (`// NAME` stands before each), so that it `fits`; None: never."""
    starts = [(found.start(), found.end(), found[1]) for found in _FILE.finditer(kept)]
    if not starts or starts[0][0] != 0:
        first = kept.partition("\n")[0]
        starts.insert(0, (0, len(first) + 1, first.removeprefix("// ")))
    later = range(1, len(starts))
    ways = (left_out for count in range(len(starts)) for left_out in combinations(later, count))
    for left_out in islice(ways, MOST_TRIES):
        found = _taken_apart(kept, [each for number, each in enumerate(starts) if number not in left_out])
        if fits(found):
            return found
    return None


def _taken_apart(kept: str, starts: list[tuple[int, int, str]]) -> dict[str, str]:
    ends = [start - 1 for start, _, _ in starts[1:]] + [len(kept)]
    return {name: kept[begin:end] for (_, begin, name), end in zip(starts, ends, strict=True)}
