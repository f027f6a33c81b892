"""Words of outsiders, fit to be kept and shown: what a target answered, what git or a command printed."""

from __future__ import annotations

LONGEST = 2000


def plain_line(text: str, longest: int = LONGEST) -> str:
    """Make one bounded line of printable characters: no escape that a terminal obeys, no NUL that Postgres refuses."""
    return "".join(c if c.isprintable() else " " for c in text[:longest]).strip()
