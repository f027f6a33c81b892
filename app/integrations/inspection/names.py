"""File names that look like other names: by the confusables of UTS #39 (https://www.unicode.org/reports/tr39/), as
confusable-homoglyphs carries them.

Three things are told: a name that reads as an ASCII one letter by letter (whole-script or mixed-script confusable, UTS #39 §5),
a word of Latin letters with one of another script among them that looks Latin, and two paths of one push that look alike.
A name in its own script is none of that, unless every letter of it looks Latin: the Russian word "хор" does.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

from confusable_homoglyphs.categories import alias
from confusable_homoglyphs.confusables import confusables_data

from app.domain.finding import Finding, FindingKind
from app.domain.text import visible

LONGEST_NAME = 200  # characters of it in a finding
_STRUCTURE = frozenset("/\\.")  # what looks like these makes one name look like another's place
_APART = frozenset({"HAN", "HIRAGANA", "KATAKANA", "ARABIC", "DEVANAGARI"})  # their letters do not pass for Latin among their own
_FULL_WIDTH = 0xFEE0
_WORD = re.compile(r"[^\W\d_]+")


@cache
def _look_alikes() -> dict[str, str]:
    """Map each character that is not ASCII to the one ASCII character it looks like; all of full width (the tables hold some)."""
    found = {chr(point): chr(point - _FULL_WIDTH) for point in range(0xFF01, 0xFF5F)}
    for character, others in confusables_data.items():
        ascii_ones = [o["c"] for o in others if len(o["c"]) == 1 and o["c"].isascii()]
        if len(character) == 1 and not character.isascii() and ascii_ones:
            found.setdefault(character, ascii_ones[0])
    return found


def look(paths: Iterable[str]) -> Iterator[Finding]:
    """List the names that look like others; `paths` are those that are there after the push."""
    alike: dict[str, str] = {}
    for path in sorted(set(paths)):
        if not path.isascii():
            yield from _alone(path)
        other = alike.setdefault(_skeleton(path), path)
        if other != path:
            yield _finding(path, f"the path looks like {_named(other)}, which is changed too")


def _alone(path: str) -> Iterator[Finding]:
    if "\ufffd" in path:
        yield _finding(path, "the path is not valid UTF-8")
    for part in path.split("/"):
        if not part.isascii() and (what := _of(part)):
            yield _finding(path, what)
            return


def _of(part: str) -> str | None:
    """Tell what is the matter with one name of a path."""
    strange = [c for c in part if not c.isascii() and _counts(c)]
    if strange and all(_passes(c) for c in strange):
        read = "".join(_look_alikes().get(c, c) for c in part)
        return f"the name reads as {_named(read)}: {_points(strange)}"
    mixed = [c for word in _WORD.findall(part) for c in _foreign(word)]
    return f"a word of Latin letters holds others that look Latin: {_points(mixed)}" if mixed else None


def _counts(character: str) -> bool:
    """Leave typography out of it: dashes, quotes and spaces look like ASCII ones and mislead nobody."""
    return unicodedata.category(character)[0] in "LMN" or _look_alikes().get(character) in _STRUCTURE


def _passes(character: str) -> bool:
    """Tell whether it passes for an ASCII letter or digit, or for what parts the names of a path."""
    look_alike = _look_alikes().get(character)
    if look_alike is None or alias(character) in _APART:
        return False
    return look_alike.isalnum() or look_alike in _STRUCTURE


def _foreign(word: str) -> list[str]:
    if word.isascii() or not re.search("[A-Za-z]", word):
        return []
    return [c for c in word if not c.isascii() and alias(c) not in {"LATIN", "COMMON", "INHERITED"} and _passes(c)]


def _skeleton(path: str) -> str:
    """Make what is equal where two paths look alike (UTS #39 §4, with ASCII left as it is)."""
    if path.isascii():
        return path
    return "".join(_look_alikes().get(c, c) for c in unicodedata.normalize("NFD", path))


def _finding(path: str, what: str) -> Finding:
    return Finding(FindingKind.CONFUSABLE_NAME, visible(path), None, what)


def _points(characters: list[str]) -> str:
    shown = [f"U+{ord(c):04X} for {_look_alikes()[c]}" for c in dict.fromkeys(characters)]
    return ", ".join(shown[:5]) + (" and more" if len(shown) > 5 else "")


def _named(path: str) -> str:
    """Spell a name in ASCII, so that nobody is fooled by the finding."""
    return '"' + "".join(c if c.isascii() and c.isprintable() else f"<U+{ord(c):04X}>" for c in path[:LONGEST_NAME]) + '"'
