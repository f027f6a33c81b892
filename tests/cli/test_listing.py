"""A listing shows every id and every reason whole, however narrow the terminal is."""

from __future__ import annotations

import io
import re

import pytest

from app.cli.output import PlainConsole, coloured, listing

REASON = (
    'push: forbidden by "known" (an author is nobody): e-mail eve@example.com belongs to nobody (author of commit 2f0c1b7d9a3e)'
)
ROW = ("11-30 15:00:01", "4996942898e1", "production", "2f0c1b7d9a3e", "alice.somebody@example.com")


def shown(width: int, *row: object) -> str:
    out = io.StringIO()
    table = listing("created", "deployment", "environment", "commit", "who", "state", "why")
    table.add_row(*row)  # type: ignore[arg-type]
    PlainConsole(file=out, width=width).print(table)
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200, 1000])
def test_nothing_is_cut(width: int) -> None:
    told = shown(width, *ROW, coloured("denied"), REASON)
    words = re.sub(r"\s+", " ", told)
    for part in (*ROW, "denied"):
        assert part in words
    if width < 200:
        assert REASON in words, "the reason has lines of its own"
    assert all(len(line.rstrip()) <= width for line in told.splitlines())


def test_what_a_terminal_would_obey_is_marked_in_a_narrow_listing_too() -> None:
    assert "\x1b" not in shown(80, *ROW, coloured("denied"), f"{REASON}\x1b[2J")
