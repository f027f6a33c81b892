"""The changes in a push, as git records them: changed files with their added lines, and messages of the new commits."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from enum import StrEnum

MOST_FILES = 5_000
MOST_COMMITS = 1_000
MOST_TEXT = 16 * 1024 * 1024  # bytes of added lines and messages
LARGEST_FILE = 4 * 1024 * 1024
LONGEST_MESSAGE = 64 * 1024  # bytes
LONGEST_LINK = 4_095  # bytes; Linux takes no longer target (PATH_MAX)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Line = tuple[int, str]


class FileKind(StrEnum):
    """The kind of a changed file now, and whether its lines are known."""

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
    """One changed path. A rename is two changes: the old path, gone, and the new one.

    `path` is decoded as UTF-8; U+FFFD replaces other bytes. `added` holds new lines with their numbers, without line ends.
    `link` is the target of a link, or empty if it is not known.
    """

    path: str
    kind: FileKind
    added: tuple[Line, ...] = ()
    link: str = ""


@dataclass(frozen=True, slots=True)
class CommitMessage:
    """The message of a new commit, and the author and committer that it names (forgeable: evidence, not identity)."""

    sha: str
    text: str
    author_name: str
    author_email: str
    committer_email: str
    committer_name: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Text that came with a push and is in no commit, of a pull request or a tag. `where` names it."""

    where: str
    text: str


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes in a push. `paths_known`: no path is missing.

    If a limit was reached, `is_whole` is false and `why_not` names the limit.
    """

    files: tuple[ChangedFile, ...] = ()
    messages: tuple[CommitMessage, ...] = ()
    notes: tuple[Note, ...] = ()
    is_whole: bool = True
    paths_known: bool = True
    why_not: str = ""


def read_text(raw: bytes) -> str | None:
    """Decode a file's bytes; None if they are not text.

    Only the bytes decide, not an attribute of the repository. UTF-8 is text, with or without NULs, and so is UTF-16 with a
    byte order mark. Other bytes are text unless they hold a NUL; U+FFFD replaces what cannot be decoded.
    """
    if raw.startswith(_UTF16):
        return raw.decode("utf-16", "replace")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None if b"\0" in raw else raw.decode(errors="replace")
