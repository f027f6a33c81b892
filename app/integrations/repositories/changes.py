"""The changes between trees, read with two kinds of `git` process: one lists paths and ids, the other hands out the bytes.

This module finds the new lines: those of the new file that the old one does not hold anywhere (a line that only moved is not
new). So it parses no diff, which a message or a file could imitate, and computes none, which an attacker could make costly.
No attribute of the repository (`-diff`, `binary`, a filter, a textconv) matters, since `--raw` and `cat-file` read none.
Sizes are asked before bytes, since a small pack can hold huge files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pygit2

from app.domain.change import (
    LARGEST_FILE,
    LONGEST_MESSAGE,
    MOST_COMMITS,
    MOST_FILES,
    MOST_TEXT,
    ChangedFile,
    Changes,
    CommitMessage,
    FileKind,
    Line,
    read_text,
)
from app.domain.errors import RepositoryUnavailable
from app.integrations.repositories.git import Git

MOST_BASES = 20
LONGEST_NAME = 1_000  # bytes of an author's name or e-mail
MOST_READ = 64 * 1024 * 1024  # bytes of files, old and new, for one answer
_BATCH_BYTES = 8 * 1024 * 1024  # bytes held at a time
_ENTRY_BYTES = 2_000  # bytes of one entry of the listing, about: paths are up to 4096
_EMPTY_TREES = {
    40: "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    64: "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
_LIST = (
    "diff-tree",
    "-r",
    "-z",
    "--raw",
    "--no-abbrev",
    "--no-renames",
    "--no-commit-id",
    "--ignore-submodules=none",
    "--no-ext-diff",
    "--no-textconv",
)
_WITHOUT_REPLACEMENTS = {"GIT_NO_REPLACE_OBJECTS": "1"}
_LINK, _SUBMODULE, _NONE = "120000", "160000", "000000"


@dataclass(slots=True)
class _Entry:
    """One path: its object now, and its objects in the bases; None if it was not a file in one of them."""

    path: bytes
    mode: str
    new: str
    old: set[str | None] = field(default_factory=set)


@dataclass
class _Reading:
    """The state of a read, and the bounds that were met."""

    reasons: dict[str, None] = field(default_factory=dict)
    paths_known: bool = True
    text_left: int = field(default_factory=lambda: MOST_TEXT)


def read_changes(git: Git, mirror: Path, bases: Sequence[str | None], sha: str, *, commits: Iterable[pygit2.Commit]) -> Changes:
    """Read all that is in `sha` but not in each of `bases` (None: empty), and messages; raises RepositoryUnavailable."""
    reading = _Reading()
    messages = _messages(commits, reading)
    entries = _entries(git, mirror, list(dict.fromkeys(bases)), sha, reading)
    files = _Files(git, mirror, reading).read(entries)
    return Changes(files, messages, (), not reading.reasons, reading.paths_known, "; ".join(reading.reasons))


def _entries(git: Git, mirror: Path, bases: list[str | None], sha: str, reading: _Reading) -> list[_Entry]:
    if len(bases) > MOST_BASES:
        reading.reasons[f"only {MOST_BASES} of {len(bases)} bases were compared"] = None
        reading.paths_known = False
    entries: dict[bytes, _Entry] = {}
    for before in bases[:MOST_BASES]:
        listed, is_cut = git.read_some(
            mirror, *_LIST, before or _EMPTY_TREES[len(sha)], sha, more=_WITHOUT_REPLACEMENTS, most=MOST_FILES * _ENTRY_BYTES
        )
        fields = listed.split(b"\0")[:-1]
        for header, path in zip(fields[::2], fields[1::2], strict=False):
            _, mode, old, new, _ = header.decode("ascii").split(" ")
            entry = entries.setdefault(path, _Entry(path, mode, new))
            entry.old.add(old if header[1:7] in (b"100644", b"100755", b"100664") else None)
        if is_cut or len(entries) > MOST_FILES:
            reading.reasons[f"more than {MOST_FILES} files are changed"] = None
            reading.paths_known = False
    return [entries[path] for path in sorted(entries)][:MOST_FILES]


class _Files:
    """Reads the files of entries, in batches; within a batch, each object is read once."""

    def __init__(self, git: Git, mirror: Path, reading: _Reading) -> None:
        self._git = git
        self._mirror = mirror
        self._reading = reading

    def read(self, entries: list[_Entry]) -> tuple[ChangedFile, ...]:
        """Read the files, a few megabytes at a time, until MOST_READ; return them by path."""
        sizes = self._sizes({o for e in entries if _is_file(e) for o in (e.new, *e.old) if o is not None})
        done: list[ChangedFile] = []
        batch: list[_Entry] = []
        held = total = 0
        for entry in entries:
            size = self._cost(entry, sizes)
            if total + size > MOST_READ or self._reading.text_left <= 0:
                self._reading.reasons["more is changed than is read"] = None
                done.append(ChangedFile(_path(entry), _kind(entry) or FileKind.UNREAD))
                continue
            if held + size > _BATCH_BYTES:
                done.extend(self._batch(batch, sizes))
                batch, held = [], 0
            batch.append(entry)
            held += size
            total += size
        return tuple(sorted([*done, *self._batch(batch, sizes)], key=lambda file: file.path))

    def _cost(self, entry: _Entry, sizes: dict[str, int]) -> int:
        return sum(sizes[o] for o in _objects_to_read(entry, sizes))

    def _batch(self, entries: list[_Entry], sizes: dict[str, int]) -> list[ChangedFile]:
        contents = self._contents(list(dict.fromkeys(o for e in entries for o in _objects_to_read(e, sizes))))
        return [self._file(entry, sizes, contents) for entry in entries]

    def _file(self, entry: _Entry, sizes: dict[str, int], contents: dict[str, bytes]) -> ChangedFile:
        kind = _kind(entry) or (FileKind.LARGE if sizes[entry.new] > LARGEST_FILE else FileKind.TEXT)
        if kind is not FileKind.TEXT:
            return ChangedFile(_path(entry), kind)
        text = read_text(contents[entry.new])
        if text is None:
            return ChangedFile(_path(entry), FileKind.BINARY)
        added = _new_lines(text, [read_text(contents[o]) if o in contents else None for o in entry.old])
        self._reading.text_left -= sum(len(line) + 1 for _, line in added)
        if self._reading.text_left < 0:
            self._reading.reasons["more is changed than is read"] = None
            return ChangedFile(_path(entry), FileKind.UNREAD)
        return ChangedFile(_path(entry), FileKind.TEXT, added)

    def _sizes(self, objects: set[str]) -> dict[str, int]:
        """Ask for sizes; raises RepositoryUnavailable if an object is missing."""
        answer = self._ask("--batch-check=%(objecttype) %(objectsize)", sorted(objects)).decode("ascii", "replace")
        rows = [line.split(" ") for line in answer.splitlines()]
        if len(rows) != len(objects) or any(row[0] != "blob" for row in rows):
            raise RepositoryUnavailable("the mirror does not hold all files of these commits")
        return {name: int(row[1]) for name, row in zip(sorted(objects), rows, strict=True)}

    def _contents(self, objects: list[str]) -> dict[str, bytes]:
        answer = self._ask("--batch=%(objectname) %(objectsize)", objects)
        contents, at = {}, 0
        for name in objects:
            end = answer.index(b"\n", at)
            size = int(answer[at:end].split(b" ")[1])
            contents[name] = answer[end + 1 : end + 1 + size]
            at = end + 1 + size + 1
        return contents

    def _ask(self, option: str, objects: list[str]) -> bytes:
        if not objects:
            return b""
        return self._git.read(
            self._mirror, "cat-file", option, "--buffer", more=_WITHOUT_REPLACEMENTS, given="\n".join([*objects, ""]).encode()
        )


def _is_file(entry: _Entry) -> bool:
    return entry.mode not in {_LINK, _SUBMODULE, _NONE}


def _kind(entry: _Entry) -> FileKind | None:
    return {_LINK: FileKind.LINK, _SUBMODULE: FileKind.SUBMODULE, _NONE: FileKind.GONE}.get(entry.mode)


def _objects_to_read(entry: _Entry, sizes: dict[str, int]) -> list[str]:
    """List the objects to read for an entry. An old file that is too large is not compared, so all lines count as new."""
    if not _is_file(entry) or sizes[entry.new] > LARGEST_FILE:
        return []
    return [entry.new, *(o for o in entry.old if o is not None and sizes[o] <= LARGEST_FILE)]


def _path(entry: _Entry) -> str:
    return entry.path.decode(errors="replace")


def _new_lines(text: str, olds: list[str | None]) -> tuple[Line, ...]:
    """List the lines that are new against at least one of the old files."""
    known = [set(old.split("\n")) if old is not None else set() for old in olds]
    everywhere = set.intersection(*known) if known else set()
    return tuple((number, line) for number, line in enumerate(_lines(text), 1) if line not in everywhere)


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def _messages(commits: Iterable[pygit2.Commit], reading: _Reading) -> tuple[CommitMessage, ...]:
    messages: list[CommitMessage] = []
    for commit in commits:
        if len(messages) >= MOST_COMMITS or reading.text_left <= 0:
            reading.reasons["there are more new commits than messages that are read"] = None
            break
        raw = bytes(commit.raw_message)
        if len(raw) > LONGEST_MESSAGE:
            reading.reasons[f"the message of commit {str(commit.id)[:12]} is too long and was not read to its end"] = None
        text = raw[:LONGEST_MESSAGE].decode(errors="replace")
        reading.text_left -= len(text)
        messages.append(
            CommitMessage(
                str(commit.id),
                text,
                _name(commit.author),
                _email(commit.author),
                _email(commit.committer),
                _name(commit.committer),
            )
        )
    return tuple(messages)


def _name(who: pygit2.Signature) -> str:
    return _as_text(bytes(who.raw_name or b""))


def _email(who: pygit2.Signature) -> str:
    return _as_text(bytes(who.raw_email or b""))


def _as_text(raw: bytes) -> str:
    return raw[:LONGEST_NAME].decode(errors="replace")
