"""The changes between trees: paths from a walk within a budget (`trees.py`), bytes as the blobs hold them (`objects.py`).

This module finds the new lines: those of the new file that the old one does not hold anywhere (a line that only moved is not
new). So it parses no diff, which a message or a file could imitate, and computes none, which an attacker could make costly.
No attribute of the repository (`-diff`, `binary`, a filter, a textconv) matters. Sizes are asked before bytes, since a small
pack can hold huge files. A limit that is met makes the answer say so; it is no fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    Line,
    read_text,
)
from app.domain.errors import ContentTooLarge, UnsafeContent
from app.integrations.repositories.commits import Commit
from app.integrations.repositories.content.objects import Objects
from app.integrations.repositories.content.trees import EXECUTABLE, FILE, LINK, SUBMODULE, Leaf, Walk

MOST_BASES = 20
LONGEST_NAME = 1_000  # bytes of an author's name or e-mail
MOST_READ = 64 * 1024 * 1024  # bytes of files, old and new, for one answer
_BATCH_BYTES = 8 * 1024 * 1024  # bytes held at a time
_FILES = (FILE, EXECUTABLE)


@dataclass(slots=True)
class _Entry:
    """One path: its object now, and its objects in the bases; None if it was not a file in one of them."""

    path: bytes
    new: Leaf | None
    old: set[str | None] = field(default_factory=set)


@dataclass
class _Reading:
    """The state of a read, and the bounds that were met."""

    reasons: dict[str, None] = field(default_factory=dict)
    paths_known: bool = True
    text_left: int = field(default_factory=lambda: MOST_TEXT)

    def miss_paths(self, why: str) -> None:
        """Keep that paths may be missing."""
        self.reasons[why] = None
        self.paths_known = False


def read_changes(objects: Objects, bases: Sequence[str | None], sha: str, *, commits: Iterable[Commit]) -> Changes:
    """Read all that is in `sha` but not in each of `bases` (None: empty), and messages; raises RepositoryUnavailable."""
    reading = _Reading()
    messages = _messages(commits, reading)
    entries = _entries(objects, list(dict.fromkeys(bases)), sha, reading)
    try:
        files = _Files(objects, reading).read(entries)
    except ContentTooLarge as fault:
        reading.reasons[str(fault)] = None
        files = tuple(ChangedFile(_path(entry), _kind(entry) or FileKind.UNREAD) for entry in entries)
    return Changes(files, messages, (), not reading.reasons, reading.paths_known, "; ".join(reading.reasons))


def _entries(objects: Objects, bases: list[str | None], sha: str, reading: _Reading) -> list[_Entry]:
    if len(bases) > MOST_BASES:
        reading.miss_paths(f"only {MOST_BASES} of {len(bases)} bases were compared")
    entries: dict[bytes, _Entry] = {}
    walk = Walk(objects)
    try:
        for base in bases[:MOST_BASES]:
            for found in walk.differences(base, sha):
                entry = entries.setdefault(found.path, _Entry(found.path, found.new))
                entry.old.add(found.old.id if found.old is not None and found.old.mode in _FILES else None)
                if len(entries) > MOST_FILES:
                    raise ContentTooLarge(f"more than {MOST_FILES} files are changed")
    except (ContentTooLarge, UnsafeContent) as fault:
        reading.miss_paths(str(fault))
    return [entries[path] for path in sorted(entries)][:MOST_FILES]


class _Files:
    """Reads the files of entries, in batches; within a batch, each object is read once."""

    def __init__(self, objects: Objects, reading: _Reading) -> None:
        self._objects = objects
        self._reading = reading

    def read(self, entries: list[_Entry]) -> tuple[ChangedFile, ...]:
        """Read the files, a few megabytes at a time, until MOST_READ; return them by path."""
        ids = list(dict.fromkeys(o for e in entries for o in _objects(e)))
        sizes = dict(zip(ids, self._objects.sizes(ids), strict=True))
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
        ids = dict.fromkeys(o for e in entries for o in _objects_to_read(e, sizes))
        contents = dict(self._objects.read(list(ids), "blob"))
        return [self._file(entry, sizes, contents) for entry in entries]

    def _file(self, entry: _Entry, sizes: dict[str, int], contents: dict[str, bytes]) -> ChangedFile:
        kind = _kind(entry) or (FileKind.LARGE if sizes[_new(entry)] > LARGEST_FILE else FileKind.TEXT)
        if kind is FileKind.LINK and _new(entry) in contents:
            return ChangedFile(_path(entry), kind, link=contents[_new(entry)].decode(errors="replace"))
        if kind is not FileKind.TEXT:
            return ChangedFile(_path(entry), kind)
        text = read_text(contents[_new(entry)])
        if text is None:
            return ChangedFile(_path(entry), FileKind.BINARY)
        added = _new_lines(text, [read_text(contents[o]) if o in contents else None for o in entry.old])
        self._reading.text_left -= sum(len(line) + 1 for _, line in added)
        if self._reading.text_left < 0:
            self._reading.reasons["more is changed than is read"] = None
            return ChangedFile(_path(entry), FileKind.UNREAD)
        return ChangedFile(_path(entry), FileKind.TEXT, added)


def _is_file(entry: _Entry) -> bool:
    return _kind(entry) is None


def _kind(entry: _Entry) -> FileKind | None:
    """Tell the kind of an entry by its mode alone; None: it is a file."""
    if entry.new is None:
        return FileKind.GONE
    return {LINK: FileKind.LINK, SUBMODULE: FileKind.SUBMODULE}.get(entry.new.mode)


def _new(entry: _Entry) -> str:
    assert entry.new is not None  # asked of files and links only
    return entry.new.id


def _objects(entry: _Entry) -> list[str]:
    """List the objects behind an entry: of a file the new and the old ones, of a link its own."""
    if _kind(entry) is FileKind.LINK:
        return [_new(entry)]
    return [_new(entry), *(o for o in entry.old if o is not None)] if _is_file(entry) else []


def _objects_to_read(entry: _Entry, sizes: dict[str, int]) -> list[str]:
    """List the objects to read for an entry. An old file that is too large is not compared, so all lines count as new."""
    objects = _objects(entry)
    largest = LONGEST_LINK if _kind(entry) is FileKind.LINK else LARGEST_FILE
    if not objects or sizes[objects[0]] > largest:
        return []
    return [o for o in objects if sizes[o] <= largest]


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


def _messages(commits: Iterable[Commit], reading: _Reading) -> tuple[CommitMessage, ...]:
    messages: list[CommitMessage] = []
    for commit in commits:
        if len(messages) >= MOST_COMMITS or reading.text_left <= 0:
            reading.reasons["there are more new commits than messages that are read"] = None
            break
        if len(commit.message) > LONGEST_MESSAGE:
            reading.reasons[f"the message of commit {commit.id[:12]} is too long and was not read to its end"] = None
        text = commit.message[:LONGEST_MESSAGE].decode(errors="replace")
        reading.text_left -= len(text)
        raw_names = (commit.author_name, commit.author_email, commit.committer_email, commit.committer_name)
        messages.append(CommitMessage(commit.id, text, *(_as_text(raw) for raw in raw_names)))
    return tuple(messages)


def _as_text(raw: bytes) -> str:
    return raw[:LONGEST_NAME].decode(errors="replace")
