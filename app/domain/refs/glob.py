"""Globs for the names of branches and tags: `*`, `?` and `[…]` stop at `/`, `**` crosses it. Pure.

The names come from people who push, so a name is matched in time that grows with its length alone, whatever the glob.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_TOKEN = re.compile(
    r"(?P<folders>(?:(?<=/)|\A)\*{2,}/)|(?P<deep>\*{2,})|(?P<star>\*)|(?P<any>\?)|(?P<set>\[!?[^\]/]+\])|(?P<one>.)", re.DOTALL
)
_SPECIAL = re.compile(r"[*?\[]")
_RANGE = re.compile(r"(.)(?:-(.))?", re.DOTALL)
_SETS = re.compile(r"\[[^\]/]+\]")
_IMPOSSIBLE = re.compile(r"[\x00-\x20\x7f-\x9f~^:\\]")  # git-check-ref-format(1), beside the glob's own characters
_Token = tuple[str, str]


def glob_fits(glob: str, name: str) -> bool:
    """Tell whether the whole of `name` fits the glob."""
    if not _SPECIAL.search(glob):
        return glob == name
    tokens = _tokens(glob)
    places = _reached(tokens, {0}, "/")
    for character in name:
        places = _reached(tokens, set(_after(tokens, places, character)), character)
    return len(tokens) in places


def without_crossing(glob: str) -> str:
    """Return the glob as it was read before `**` crossed `/`: a `*` in its place."""
    return re.sub(r"\*{2,}", "*", glob)


def crossing(glob: str) -> str:
    """Return the glob with each `*` crossing `/`."""
    return re.sub(r"\*+", "**", glob)


def example_of(glob: str) -> str:
    """Return a name that fits a well-formed glob."""
    return _SETS.sub(lambda found: _member(found[0]), re.sub(r"\*+", "any", glob).replace("?", "x"))


def glob_fault(glob: str) -> str | None:
    """Say why a glob can fit no name of a ref, and what to write instead; None if it can."""
    plain = _SETS.sub("x", glob)
    if glob.startswith(("refs/heads/", "refs/tags/")):
        return f"leave out {'/'.join(glob.split('/')[:2])}/: the pattern begins with the name"
    if "***" in plain:
        return "has three stars in a row: `*` stops at `/`, `**` crosses it"
    if "[" in plain or "[^" in glob:
        return "holds a set that is not closed or begins with ^: write [abc], [a-z] or [!a-z], without `/`"
    if found := _IMPOSSIBLE.search(plain):
        what = "a blank" if found[0].isspace() else "a control character" if not found[0].isprintable() else found[0]
        return f"holds {what}, which no ref may hold: this is a glob, not a regular expression"
    if plain.endswith(".") or ".." in plain or any(_is_no_part(part) for part in plain.split("/")):
        return "fits no name of a ref: a part between `/` is empty or begins with a dot, or the name ends with one"
    return None


def glob_doubt(glob: str) -> str | None:
    """Say what a glob does not do, if it is written as another tool's would be; None if it is not."""
    if glob.startswith("!"):
        return "begins with !, which is part of the name here: what is not listed is not deployed"
    if re.search(r"\{[^}]*,[^}]*\}", glob):
        return "holds {…,…}, which is part of the name here: write a pattern for each"
    return None


def _is_no_part(part: str) -> bool:
    return not part or part.startswith(".") or part.endswith(".lock")


@lru_cache(maxsize=1024)
def _tokens(glob: str) -> tuple[_Token, ...]:
    return tuple((found.lastgroup or "", found[0]) for found in _TOKEN.finditer(glob))


def _reached(tokens: tuple[_Token, ...], places: set[int], last: str) -> set[int]:
    """Add the places that are reached without a character; `**/` is left after whole parts only, so if `/` was the last one."""
    passed = ("folders", "deep", "star") if last == "/" else ("deep", "star")
    reached = set(places)
    for place in places:
        while place < len(tokens) and tokens[place][0] in passed:
            place += 1
            reached.add(place)
    return reached


def _after(tokens: tuple[_Token, ...], places: set[int], character: str) -> Iterator[int]:
    """Give the places after one more character."""
    for place in places:
        kind, text = tokens[place] if place < len(tokens) else ("", "")
        if kind in ("folders", "deep") or (kind == "star" and character != "/"):
            yield place
        elif _is_one(kind, text, character):
            yield place + 1


def _is_one(kind: str, text: str, character: str) -> bool:
    match kind:
        case "any":
            return character != "/"
        case "set":
            return character != "/" and _is_member(text, character)
        case _:
            return text == character


def _is_member(text: str, character: str) -> bool:
    inner = text[1:-1].removeprefix("!")
    is_in = any(low <= character <= (high or low) for low, high in _RANGE.findall(inner))
    return is_in is not text.startswith("[!")


def _member(text: str) -> str:
    """Return a character that a set holds."""
    return next((c for c in "abcdefghijklmnopqrstuvwxyz0123456789-._" if _is_member(text, c)), text[1])
