"""What the pipeline asks of content inspection, and what the detectors are given: passages, cut into pieces."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

from app.domain.change import Changes, Line
from app.domain.finding import Inspection

LONGEST_LINE = 2_000  # characters; a longer one is looked at in pieces
OVERLAP = 250  # characters: nothing that is looked for in a line is longer, but some tokens, which are found by their beginning
PASSAGE = 64 * 1024  # characters, about
LINES_BEFORE = 8  # of the passage before, since a sentence may go over its end


class Inspector(Protocol):
    """Looks at what a push brings."""

    def inspect(self, changes: Changes, *, agents: frozenset[str]) -> Inspection:
        """List what is found. Never raises; `agents` are e-mails, in lower case, of principals that are agents."""
        ...


@dataclass(frozen=True, slots=True)
class Passage:
    """Some lines of one file or message, and the same as one text."""

    where: str
    lines: tuple[Line, ...]
    text: str

    def line_at(self, offset: int) -> int:
        """Tell in which line the character at `offset` of the text stands."""
        starts = list(accumulate((len(text) + 1 for _, text in self.lines), initial=0))
        return self.lines[bisect_right(starts, offset) - 1][0]


def passage(where: str, lines: tuple[Line, ...]) -> Passage:
    """Make a passage of lines as they are."""
    return Passage(where, lines, "\n".join(text for _, text in lines))


def passages(where: str, lines: tuple[Line, ...]) -> Iterator[Passage]:
    """Cut lines into passages of bounded size that overlap: what is found twice is found at the same line."""
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
