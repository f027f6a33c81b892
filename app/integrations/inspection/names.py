"""File names that look like other names, by the confusables of UTS #39 (https://www.unicode.org/reports/tr39/), as
confusable-homoglyphs carries them.

Four things are findings. First, a name that reads as an ASCII one letter by letter (whole-script or mixed-script confusable,
UTS #39 §5). Second, a word of Latin letters with a letter of another script that looks Latin. Third, two paths of one push
that look alike. Fourth, two paths of one push that differ by case alone: many file systems hold only one of them. A name in its
own script is not a finding, unless all its letters look Latin: the Russian word "хор" does.
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
_STRUCTURE = frozenset("/\\.")  # a character that looks like one of these makes a name look like a path
_NOT_LATIN_LIKE = frozenset(
    {"HAN", "HIRAGANA", "KATAKANA", "ARABIC", "DEVANAGARI"}
)  # scripts whose letters do not pass for Latin
_FULL_WIDTH = 0xFEE0
_WORD = re.compile(r"[^\W\d_]+")


@cache
def _look_alikes() -> dict[str, str]:
    """Map each character that is not ASCII to the ASCII character that it looks like.

    All of full width are added, since the tables hold only some.
    """
    look_alikes = {chr(point): chr(point - _FULL_WIDTH) for point in range(0xFF01, 0xFF5F)}
    for character, others in confusables_data.items():
        ascii_ones = [o["c"] for o in others if len(o["c"]) == 1 and o["c"].isascii()]
        if len(character) == 1 and not character.isascii() and ascii_ones:
            look_alikes.setdefault(character, ascii_ones[0])
    return look_alikes


def look(paths: Iterable[str]) -> Iterator[Finding]:
    """List the names that look like others; `paths` are those that exist after the push."""
    alike: dict[str, str] = {}
    folded: dict[str, str] = {}
    for path in sorted(set(paths)):
        if not path.isascii():
            yield from _in_own_parts(path)
        other = alike.setdefault(_skeleton(path), path)
        if other != path:
            yield _finding(path, f"the path looks like {_in_ascii(other)}, which is changed too")
        elif (other := folded.setdefault(path.casefold(), path)) != path:
            yield _finding(path, f"the path differs by case alone from {_in_ascii(other)}, which is changed too")


def _in_own_parts(path: str) -> Iterator[Finding]:
    if "\ufffd" in path:
        yield _finding(path, "the path is not valid UTF-8")
    for part in path.split("/"):
        if not part.isascii() and (what := _fault_of(part)):
            yield _finding(path, what)
            return


def _fault_of(part: str) -> str | None:
    """Return the fault of one part of a path, or None."""
    strange = [c for c in part if not c.isascii() and _is_relevant(c)]
    if strange and all(_passes_for_ascii(c) for c in strange):
        read = "".join(_look_alikes().get(c, c) for c in part)
        return f"the name reads as {_in_ascii(read)}: {_points(strange)}"
    mixed = [c for word in _WORD.findall(part) for c in _foreign(word)]
    return f"a word of Latin letters holds others that look Latin: {_points(mixed)}" if mixed else None


def _is_relevant(character: str) -> bool:
    """Tell whether a character may mislead. Typographic dashes, quotes and spaces look like ASCII ones, but do not."""
    return unicodedata.category(character)[0] in "LMN" or _look_alikes().get(character) in _STRUCTURE


def _passes_for_ascii(character: str) -> bool:
    """Tell whether a character passes for an ASCII letter or digit, or for a separator in paths."""
    look_alike = _look_alikes().get(character)
    if look_alike is None or alias(character) in _NOT_LATIN_LIKE:
        return False
    return look_alike.isalnum() or look_alike in _STRUCTURE


def _foreign(word: str) -> list[str]:
    if word.isascii() or not re.search("[A-Za-z]", word):
        return []
    return [c for c in word if not c.isascii() and alias(c) not in {"LATIN", "COMMON", "INHERITED"} and _passes_for_ascii(c)]


def _skeleton(path: str) -> str:
    """Return a text that is equal for two paths that look alike (UTS #39 §4, but ASCII stays as it is)."""
    if path.isascii():
        return path
    return "".join(_look_alikes().get(c, c) for c in unicodedata.normalize("NFD", path))


def _finding(path: str, what: str) -> Finding:
    return Finding(FindingKind.CONFUSABLE_NAME, visible(path), None, what)


def _points(characters: list[str]) -> str:
    shown = [f"U+{ord(c):04X} for {_look_alikes()[c]}" for c in dict.fromkeys(characters)]
    return ", ".join(shown[:5]) + (" and more" if len(shown) > 5 else "")


def _in_ascii(path: str) -> str:
    """Spell a name in ASCII, so that the finding itself does not mislead."""
    return '"' + "".join(c if c.isascii() and c.isprintable() else f"<U+{ord(c):04X}>" for c in path[:LONGEST_NAME]) + '"'
