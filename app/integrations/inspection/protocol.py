"""The protocol of content inspection, and the passages that the detectors get."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from app.domain.change import Changes, Line
from app.domain.finding import Inspection

LONGEST_LINE = 2_000  # characters; a longer line is inspected in pieces
OVERLAP = 250  # characters: no pattern within a line is longer, except some tokens, which are found by their beginning
PASSAGE = 64 * 1024  # characters, about
LINES_BEFORE = 8  # of the passage before, since a sentence may cross its end


class Inspector(Protocol):
    """Inspects the changes of a push."""

    def inspect(self, changes: Changes, *, agents: frozenset[str]) -> Inspection:
        """List the findings. Never raises. `agents` are e-mails, in lower case, of principals that are agents."""
        ...


@dataclass(frozen=True, slots=True)
class Passage:
    """Some lines of one file or message, and the same lines as one text."""

    where: str
    lines: tuple[Line, ...]
    text: str

    def line_at(self, offset: int) -> int:
        """Return the number of the line that holds the character at `offset` of the text."""
        starts = list(accumulate((len(text) + 1 for _, text in self.lines), initial=0))
        return self.lines[bisect_right(starts, offset) - 1][0]


def passage(where: str, lines: tuple[Line, ...]) -> Passage:
    """Make one passage of all lines."""
    return Passage(where, lines, "\n".join(text for _, text in lines))


def passages(where: str, lines: tuple[Line, ...]) -> Iterator[Passage]:
    """Cut lines into overlapping passages of bounded size. A finding in two passages has the same line in both."""
    whole = passage(where, lines)
    if len(whole.text) <= PASSAGE and all(len(text) <= LONGEST_LINE for _, text in lines):
        yield whole
        return
    held: list[Line] = []
    size = 0
    for piece in _pieces(lines):
        held.append(piece)
        size += len(piece[1]) + 1
        if size >= PASSAGE:
            yield passage(where, tuple(held))
            held = held[-LINES_BEFORE:]
            size = 0
    yield passage(where, tuple(held))


def _pieces(lines: tuple[Line, ...]) -> Iterator[Line]:
    for number, text in lines:
        for start in range(0, max(len(text) - OVERLAP, 1), LONGEST_LINE - OVERLAP):
            yield number, text[start : start + LONGEST_LINE]
