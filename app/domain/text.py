"""Text made fit to store and show: from outsiders (a target's answer, the output of git or a command), and times."""

from __future__ import annotations

import re
from datetime import UTC, datetime

LONGEST = 2000
# Printable by their category, and yet blank: fillers, the grapheme joiner, vowels without a sign, variation selectors.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def plain_line(text: str, longest: int = LONGEST) -> str:
    """Make one bounded line of printable characters, without terminal escapes, and without NULs, which Postgres refuses."""
    return "".join(c if c.isprintable() else " " for c in text[:longest]).strip()


def visible(text: str, longest: int = LONGEST) -> str:
    """Make one bounded line in which every character can be seen: an unprintable or blank one becomes <U+202E>."""
    if text.isascii() and text.isprintable():
        return text[:longest]
    return "".join(c if _is_visible(c) else f"<U+{ord(c):04X}>" for c in text[:longest])


def utc(moment: datetime) -> str:
    """Spell a time to the minute, for a sentence that people read in several zones."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _is_visible(character: str) -> bool:
    return character.isprintable() and not _BLANK.match(character)
