"""Trees, read level by level within a budget: what differs between two of them, or all that one holds.

A small pack can hold a tree of ten thousand million paths. Each tree object of a level is read once, and the walk ends when
the budget is spent. A tree that git would not write (a name twice, a name with a slash, an unknown mode) is not guessed at.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.errors import ContentTooLarge, UnsafeContent
from app.integrations.repositories.content.objects import Objects

FILE, EXECUTABLE, LINK, SUBMODULE, TREE = 0o100644, 0o100755, 0o120000, 0o160000, 0o040000
MOST_FOLDERS = 20_000  # paths of folders in one walk
MOST_TREE_BYTES = 32 * 1024 * 1024  # bytes of tree objects in one walk; parsed they take about six times as much memory
LONGEST_PATH = 4_096  # bytes
_ENTRIES = {n: re.compile(rb"([0-7]{5,6}) ([^\0/]+)\0(.{%d})" % n, re.S) for n in (20, 32)}

Tree = dict[bytes, tuple[int, bytes]]  # name: mode and id
_NO_TREE: Tree = {}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A file, a link or a submodule in a tree."""

    mode: int
    id: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One path that differs. None: in that tree it is no file, link or submodule."""

    path: bytes
    old: Leaf | None
    new: Leaf | None


@dataclass(frozen=True, slots=True)
class _Pair:
    """A folder to compare: its path with a slash at the end, and its tree on either side."""

    path: bytes
    old: str | None
    new: str | None


class Walk:
    """Walks trees by levels. The budget is for the whole life of the walk, so several comparisons share it."""

    def __init__(self, objects: Objects, *, most_folders: int = MOST_FOLDERS, most_bytes: int = MOST_TREE_BYTES) -> None:
        self._objects = objects
        self._folders_left, self._most_folders = most_folders, most_folders
        self._bytes_left, self._most_bytes = most_bytes, most_bytes

    def differences(self, old: str | None, new: str) -> Iterator[Difference]:
        """Yield what differs between two commits or trees, by level; None is the empty tree.

        Raises ContentTooLarge when the budget is spent, UnsafeContent for a malformed tree, and as Objects.
        """
        level = [_Pair(b"", f"{old}^{{tree}}" if old is not None else None, f"{new}^{{tree}}")]
        while level:
            self._spend_folders(len(level))
            trees = self._trees(level)
            below: list[_Pair] = []
            for pair in level:
                yield from _compare(pair, trees, below)
                if len(below) > self._folders_left:
                    self._spend_folders(len(below))
            level = below

    def _trees(self, level: list[_Pair]) -> dict[str | None, Tree]:
        trees: dict[str | None, Tree] = {None: _NO_TREE}
        places = {name: pair.path for pair in level for name in (pair.old, pair.new) if name is not None}
        answers = self._objects.each(list(places), "tree")
        for (name, path), (object_id, size, body) in zip(places.items(), answers, strict=True):
            self._spend_bytes(size)
            trees[name] = _parse(b"".join(body), len(object_id) // 2, path)
        return trees

    def _spend_folders(self, count: int) -> None:
        self._folders_left -= count
        if self._folders_left < 0:
            raise ContentTooLarge(f"there are more than {self._most_folders} folders to look into")

    def _spend_bytes(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise ContentTooLarge(f"the lists of its folders are larger than {self._most_bytes} bytes")


def _compare(pair: _Pair, trees: dict[str | None, Tree], below: list[_Pair]) -> Iterator[Difference]:
    """Yield the files that differ in one folder; add its folders that differ to `below`."""
    old, new = trees[pair.old], trees[pair.new]
    for name in old.keys() | new.keys() if old else new:
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        path = pair.path + name
        if len(path) > LONGEST_PATH:
            raise UnsafeContent(f"a path is longer than {LONGEST_PATH} bytes: {_shown(path)}")
        folders = _tree_id(before), _tree_id(after)
        if folders != (None, None):
            below.append(_Pair(path + b"/", *folders))
        leaves = _leaf(before), _leaf(after)
        if leaves != (None, None):
            yield Difference(path, *leaves)


def _tree_id(entry: tuple[int, bytes] | None) -> str | None:
    return entry[1].hex() if entry is not None and entry[0] == TREE else None


def _leaf(entry: tuple[int, bytes] | None) -> Leaf | None:
    return Leaf(entry[0], entry[1].hex()) if entry is not None and entry[0] != TREE else None


def _parse(raw: bytes, id_bytes: int, path: bytes) -> Tree:
    """Read a tree object (gitformat: mode, space, name, NUL, id); raises UnsafeContent if it is malformed."""
    rows = _ENTRIES[id_bytes].findall(raw)
    tree = {name: (_mode(mode, path + name), object_id) for mode, name, object_id in rows}
    if sum(len(mode) + len(name) for mode, name, _ in rows) + len(rows) * (2 + id_bytes) != len(raw):
        raise UnsafeContent(f"the folder {_shown(path)} has an entry that git would not write")
    if len(tree) != len(rows):
        raise UnsafeContent(f"the folder {_shown(path)} has two entries of one name")
    return tree


def _mode(text: bytes, path: bytes) -> int:
    """Read a mode as git does: of a file's permissions, only the owner's executable bit counts."""
    mode = int(text, 8)
    if stat.S_ISREG(mode):
        return EXECUTABLE if mode & stat.S_IXUSR else FILE
    if mode not in (TREE, LINK, SUBMODULE):
        raise UnsafeContent(f"{_shown(path)} is of an unknown kind (mode {mode:o})")
    return mode


def _shown(path: bytes) -> str:
    return path[:200].decode(errors="backslashreplace") or "at the top"
