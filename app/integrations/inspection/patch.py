"""Changes from text alone, for a check before a push is accepted, which has no mirror. `git diff-tree` writes the text, see
below; checks that were installed earlier send that of `git log`.

No message or file can pass for structure. Fields end with NUL, which git never prints within one. The header of a hunk counts
its lines. A path is read from the line `diff --git`, whose two halves must agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from app.domain.change import (
    LARGEST_FILE,
    LONGEST_LINK,
    LONGEST_MESSAGE,
    MOST_COMMITS,
    MOST_FILES,
    MOST_TEXT,
    ChangedFile,
    Changes,
    CommitMessage,
    FileKind,
    read_text,
)
from app.domain.errors import BadRequest

FORMAT = "%x00%x00%H%x00%an%x00%ae%x00%cn%x00%ce%x00%B%x00"  # earlier: one NUL at the beginning, and no %cn
GIT_ARGUMENTS = (  # it reads lines of a commit and those that it is to be compared with, newest first
    "-c",
    "diff.suppressBlankEmpty=false",
    "diff-tree",
    "--stdin",
    "-r",
    "-m",
    "--root",
    "--always",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--no-relative",
    "--no-show-signature",
    "--no-notes",
    "--encoding=UTF-8",
    "--unified=0",
    "--inter-hunk-context=0",
    "--patch",
    "--text",
    "--ignore-submodules=none",
    "--submodule=short",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    f"--format={FORMAT}",
)
LARGEST_PATCH = 64 * 1024 * 1024  # bytes
LONGEST_NAME = 1_000
_BY_PATH_ONLY = frozenset({FileKind.LINK, FileKind.SUBMODULE})
_COMMIT = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_HUNK = re.compile(rb"@@ -\d{1,10}(?:,(\d{1,10}))? \+(\d{1,10})(?:,(\d{1,10}))? @@")
_HEADERS = (b"index ", b"old mode ", b"new mode ", b"new file mode ", b"deleted file mode ", b"--- ", b"+++ ")
_QUOTED = rb'"((?:[^"\\]|\\.)*)"'
_BOTH_QUOTED = re.compile(_QUOTED + rb" " + _QUOTED + rb"\Z")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}
_MODES = {b"120000": FileKind.LINK, b"160000": FileKind.SUBMODULE}


@dataclass(slots=True)
class _File:
    """One path over all commits. They come newest first, so the first that names the path says its kind now."""

    named_in: int
    kind: FileKind
    added: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0
    link: bytes | None = None


class _EndedEarly(Exception):
    """The text ends within something."""


class _Enough(Exception):
    """A bound was met."""


@dataclass
class _Reader:
    """The text, and the offset up to which it was read."""

    text: bytes
    at: int = 0

    def starts(self, prefix: bytes | tuple[bytes, ...]) -> bool:
        return self.text.startswith(prefix, self.at)

    def until(self, mark: bytes) -> bytes:
        end = self.text.find(mark, self.at)
        if end < 0:
            raise _EndedEarly
        piece = self.text[self.at : end]
        self.at = end + len(mark)
        return piece

    def skip_blank(self) -> None:
        while self.starts(b"\n"):
            self.at += 1

    def refuse(self, expected: str) -> BadRequest:
        return BadRequest(f"This is not what git writes: at byte {self.at} there is no {expected}.")


class _Log:
    """The changes that were read so far."""

    def __init__(self, text: bytes) -> None:
        self.reader = _Reader(text)
        self.files: dict[bytes, _File] = {}
        self.messages: list[CommitMessage] = []
        self.reasons: dict[str, None] = {}
        self._shas: set[bytes] = set()
        self._left = MOST_TEXT

    def read(self) -> None:
        """Read to the end; raises _EndedEarly, _Enough or BadRequest."""
        self.reader.skip_blank()
        while self.reader.at < len(self.reader.text):
            self._message()
            self.reader.skip_blank()
            while self.reader.starts(b"diff --git "):
                self._file()
            self.reader.skip_blank()

    def _message(self) -> None:
        if not self.reader.starts(b"\0"):
            raise self.reader.refuse("commit")
        sha, *identity, message = (self.reader.until(b"\0") for _ in self._fields())
        if not _COMMIT.match(sha):
            raise self.reader.refuse("commit before")
        if sha in self._shas:  # a merge, once more, compared with another parent
            return
        if len(self._shas) >= MOST_COMMITS:
            raise _Enough(f"there are more than {MOST_COMMITS} new commits")
        self._shas.add(sha)
        self._add_message(sha.decode(), identity, message)

    def _fields(self) -> range:
        """Step to the first field of a commit, and return as many numbers as it has fields."""
        has_committer_name = self.reader.starts(b"\0\0")
        self.reader.at += 2 if has_committer_name else 1
        return range(6 if has_committer_name else 5)

    def _add_message(self, sha: str, identity: list[bytes], message: bytes) -> None:
        if len(message) > LONGEST_MESSAGE:
            self.reasons[f"the message of commit {sha[:12]} is too long and was not read to its end"] = None
        author_name, author, *name, committer = (field[:LONGEST_NAME].decode(errors="replace") for field in identity)
        text = message[:LONGEST_MESSAGE].decode(errors="replace")
        self.messages.append(CommitMessage(sha, text, author_name, author, committer, "".join(name)))
        self._spend(len(text))

    def _file(self) -> None:
        path = self._path(self.reader.until(b"\n").removeprefix(b"diff --git "))
        kind = self._kind()
        file = self._file_of(path, kind)
        while self.reader.starts(b"@@ "):
            lines = self._hunk(file if kind not in _BY_PATH_ONLY else None)
            if kind is FileKind.LINK and file.link is None:  # the newest
                file.link = b"\n".join(lines)

    def _file_of(self, path: bytes, kind: FileKind) -> _File:
        number = len(self.messages)
        if path not in self.files and len(self.files) >= MOST_FILES:
            raise _Enough(f"more than {MOST_FILES} files are changed")
        file = self.files.setdefault(path, _File(number, kind))
        if kind is FileKind.BINARY or (file.named_in == number and file.kind is FileKind.GONE):
            file.kind = kind  # git reports a file that becomes a link as deleted and created, in one commit
        return file

    def _path(self, both: bytes) -> bytes:
        """Read `a/PATH b/PATH`, which git may have quoted (git-config(1), core.quotePath)."""
        half = len(both) // 2
        first, second = both[:half], both[half + 1 :]
        if quoted := _BOTH_QUOTED.match(both):
            first, second = unquoted(quoted[1]), unquoted(quoted[2])
        elif both[half : half + 1] != b" ":
            raise self.reader.refuse("path before")
        if not (first.startswith(b"a/") and second.startswith(b"b/") and first[2:] == second[2:] != b""):
            raise self.reader.refuse("path before")
        return first[2:]

    def _kind(self) -> FileKind:
        kind = FileKind.TEXT
        while self.reader.starts(_HEADERS):
            line = self.reader.until(b"\n")
            if line.startswith(b"deleted file mode "):
                kind = FileKind.GONE
            elif line.startswith((b"index ", b"new ")):
                kind = _MODES.get(_mode_in(line), kind)
        if self.reader.starts(b"Binary files "):
            self.reader.until(b"\n")
            return FileKind.BINARY
        return kind

    def _hunk(self, file: _File | None) -> list[bytes]:
        """Read a hunk, add its new lines to `file`, and return them."""
        added: list[bytes] = []
        header = _HUNK.match(self.reader.until(b"\n"))
        if header is None:
            raise self.reader.refuse("hunk before")
        old, number, new = int(header[1] or 1), int(header[2]), int(header[3] or 1)
        while old > 0 or new > 0 or self.reader.starts(b"\\ "):
            line = self.reader.until(b"\n")
            sign = line[:1]
            if sign == b"+":
                self._add_line(file, number, line[1:])
                added.append(line[1:])
            elif sign not in {b"-", b" ", b"\\"}:
                raise self.reader.refuse("line of a hunk before")
            old -= sign in {b"-", b" "}
            new -= sign in {b"+", b" "}
            number += sign in {b"+", b" "}
        if old < 0 or new < 0:
            raise self.reader.refuse("hunk of the length that it says before")
        return added

    def _add_line(self, file: _File | None, number: int, line: bytes) -> None:
        self._spend(len(line) + 1)
        if file is None:
            return
        file.size += len(line) + 1
        if file.size > LARGEST_FILE:
            file.kind = FileKind.LARGE
        else:
            file.added.append((number, line))

    def _spend(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise _Enough("more is changed than is read")


def _mode_in(line: bytes) -> bytes:
    """Return the mode that a header tells, or nothing: `index A..B` has one only behind the ids, which may end like a mode."""
    words = line.split(b" ")
    return words[-1] if line.startswith(b"new ") or len(words) > 2 else b""


def parse(text: bytes) -> Changes:
    """Read the output of `git` with GIT_ARGUMENTS; raises BadRequest if it is something else.

    Lines have the numbers of the commit that adds them. If text is cut off or beyond a bound, the answer is not whole.
    """
    log = _Log(text[:LARGEST_PATCH])
    is_read = False
    try:
        log.read()
        is_read = len(text) <= LARGEST_PATCH
    except _EndedEarly:
        log.reasons["the text ends in the middle of something"] = None
    except _Enough as bound:
        log.reasons[str(bound)] = None
    if len(text) > LARGEST_PATCH:
        log.reasons["the text is longer than what is read"] = None
    files = tuple(changed for path, file in log.files.items() for changed in _changed_files(path, file))
    return Changes(files, tuple(log.messages), (), not log.reasons, is_read, "; ".join(log.reasons))


def _changed_files(path: bytes, file: _File) -> Iterator[ChangedFile]:
    """Yield the path as it is now; of a link also the file that an earlier of these commits had there."""
    name = path.decode(errors="replace")
    if file.kind is FileKind.LINK:
        yield ChangedFile(name, file.kind, link=(file.link or b"")[:LONGEST_LINK].decode(errors="replace"))
        if not file.added:
            return
    kind = FileKind.GONE if file.kind is FileKind.LINK else file.kind
    lines = read_text(b"\n".join(line for _, line in file.added))
    texts = lines.split("\n") if lines is not None and file.added else []
    if len(texts) != len(file.added):  # not text, or text whose lines git counts otherwise
        yield ChangedFile(name, FileKind.BINARY)
    else:
        yield ChangedFile(name, kind, tuple((number, text) for (number, _), text in zip(file.added, texts, strict=True)))


def unquoted(quoted: bytes) -> bytes:
    """Undo the escapes between the quotes of a path that git has quoted (git-config(1), core.quotePath)."""

    def unescape(escape: re.Match[bytes]) -> bytes:
        code = escape[1]
        return bytes([int(code, 8) & 0xFF]) if len(code) == 3 else _ESCAPES.get(code, code)

    return _ESCAPE.sub(unescape, quoted)
