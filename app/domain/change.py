"""What a push brings, as git records it: the changed files with their added lines, and the messages of the new commits."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from enum import StrEnum

MOST_FILES = 5_000
MOST_COMMITS = 1_000
MOST_TEXT = 16 * 1024 * 1024  # bytes of added lines and messages
LARGEST_FILE = 4 * 1024 * 1024
LONGEST_MESSAGE = 64 * 1024  # bytes
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Line = tuple[int, str]


class FileKind(StrEnum):
    """What a changed file is now, and whether its lines are known."""

    TEXT = "text"
    GONE = "gone"
    LINK = "link"
    SUBMODULE = "submodule"
    BINARY = "binary"
    LARGE = "large"
    UNREAD = "unread"


NOT_LOOKED_AT = frozenset({FileKind.BINARY, FileKind.LARGE, FileKind.UNREAD})


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """One path that is other than it was. A rename is two: the old path, gone, and the new one.

    `path` is decoded as UTF-8; U+FFFD stands where it is none. `added` holds new lines with their numbers, without line ends.
    """

    path: str
    kind: FileKind
    added: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitMessage:
    """What a new commit says, and who it says it is of (forgeable: evidence, not identity)."""

    sha: str
    text: str
    author_name: str
    author_email: str
    committer_email: str


@dataclass(frozen=True, slots=True)
class Note:
    """Words that came with a push and are in no commit: the text of a pull request, of a tag. `where` names them."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a push brings. Where a bound was met `is_whole` is false and `why_not` says which; `paths_known`: none is missing."""

    files: tuple[ChangedFile, ...] = ()
    messages: tuple[CommitMessage, ...] = ()
    notes: tuple[Note, ...] = ()
    is_whole: bool = True
    paths_known: bool = True
    why_not: str = ""


def read_text(raw: bytes) -> str | None:
    """Decode a file's bytes; None: it is no text.

    That is decided by the bytes alone (no attribute of the repository has a say): UTF-8 is text, NULs in it or not, and so is
    UTF-16 with its mark; anything else is, with U+FFFD where it cannot be read, unless there is a NUL in it.
    """
    if raw.startswith(_UTF16):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None if b"\0" in raw else raw.decode(errors="replace")
