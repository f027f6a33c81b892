"""The files of a release, as a target looks at them before it uses them: nothing may be missing without a word.

A release that lacks files which its commit names would be called good and be broken. So pointers of Git LFS and submodules are
refused unless the target's options take them as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.domain.errors import TargetFailed
from app.domain.text import visible

LONGEST_POINTER = 1024  # bytes (git-lfs, docs/spec.md, "The Pointer": less than 1024)
_POINTERS = (  # the present version, and the two that git-lfs still reads (git-lfs, lfs/pointer.go)
    b"version https://git-lfs.github.com/spec/v1",
    b"version https://hawser.github.com/spec/v1",
    b"version http://git-media.io/v/2",
)
_OTHERS_MAY_ENTER = 0o005
_FILE, _PROGRAM, _FOLDER = 0o644, 0o755, 0o755


class ReleaseOptions(BaseModel):
    """The keys of every target that is given the files of a release.

    `modes`: "commit" gives files the mode that git has for them (0644 or 0755), "umask" that and the umask of the gate. Unset
    is "umask" with a warning if others cannot read the release.
    """

    model_config = ConfigDict(extra="forbid")
    lfs: Literal["refuse", "pointers"] = "refuse"
    submodules: Literal["refuse", "empty"] = "refuse"
    links: Literal["keep", "refuse"] = "keep"
    modes: Literal["commit", "umask"] | None = None


def settle(folder: Path, options: ReleaseOptions) -> None:
    """Refuse what the options refuse, and set the modes; raises TargetFailed, which names the first file, or OSError."""
    root = os.path.realpath(folder)
    if options.modes == "commit":
        folder.chmod(_FOLDER)
    for entry in _entries(root):
        if (why := _objection(entry, root, options)) is not None:
            raise TargetFailed(f"{visible(os.path.relpath(entry.path, root))} {why}")
        if options.modes == "commit" and not entry.is_symlink():
            os.chmod(entry.path, _mode(entry))


def why_hidden(folder: Path) -> str:
    """Say why other users, such as a web server, cannot read the release; an empty text if they can."""
    for path in (folder, folder.parent, folder.parent.parent):
        if (mode := path.stat().st_mode & 0o777) & _OTHERS_MAY_ENTER != _OTHERS_MAY_ENTER:
            return f'{path} is closed to other users (mode {mode:04o}): set modes = "commit" or "umask" at the target'
    return ""


def is_same(one: Path, other: Path) -> bool:
    """Tell whether two folders hold the same files: names, bytes, links and executable bits. What cannot be read differs."""
    try:
        names = sorted(entry.name for entry in os.scandir(one))
        if names != sorted(entry.name for entry in os.scandir(other)):
            return False
        return all(_is_same_entry(one / name, other / name) for name in names)
    except PermissionError:
        return False


def _is_same_entry(one: Path, other: Path) -> bool:
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and os.readlink(one) == os.readlink(other)
    if one.is_dir() or other.is_dir():
        return one.is_dir() and other.is_dir() and is_same(one, other)
    if not (one.is_file() and other.is_file()):
        return False  # a socket or the like: no commit holds one
    mine, theirs = one.stat(), other.stat()
    is_alike = mine.st_size == theirs.st_size and not (mine.st_mode ^ theirs.st_mode) & 0o100
    return is_alike and _has_same_bytes(one, other)


def _has_same_bytes(one: Path, other: Path) -> bool:
    with one.open("rb") as mine, other.open("rb") as theirs:
        while True:
            piece = mine.read(1 << 20)
            if piece != theirs.read(1 << 20):
                return False
            if not piece:
                return True


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """Walk all entries below a folder, without following links; a folder comes before its entries."""
    for entry in sorted(os.scandir(folder), key=lambda found: found.name):
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(entry.path)


def _objection(entry: os.DirEntry[str], root: str, options: ReleaseOptions) -> str | None:
    """Say why this entry is refused, or None."""
    if entry.is_symlink():
        return _link_objection(entry, root) if options.links == "refuse" else None
    if entry.is_dir():
        return _folder_objection(entry) if options.submodules == "refuse" else None
    return _file_objection(entry) if options.lfs == "refuse" else None


def _link_objection(entry: os.DirEntry[str], root: str) -> str | None:
    target = os.readlink(entry.path)
    if not os.path.isabs(target) and os.path.commonpath((root, os.path.realpath(entry.path))) == root:
        return None
    return f"is a link that leaves the release (to {visible(target)}), and this target refuses such links"


def _folder_objection(entry: os.DirEntry[str]) -> str | None:
    """Refuse an empty folder: git has none, so it stands for a submodule (gitglossary(7), "gitlink")."""
    if any(os.scandir(entry.path)):
        return None
    return (
        "is a submodule, and the gate does not fetch submodules: keep its files in the repository, "
        'or set submodules = "empty" at the target if the release does not need them'
    )


def _file_objection(entry: os.DirEntry[str]) -> str | None:
    if not entry.is_file() or not 0 < entry.stat().st_size < LONGEST_POINTER:
        return None
    with open(entry.path, "rb") as file:
        if not file.read(len(max(_POINTERS, key=len))).startswith(_POINTERS):
            return None
    return (
        "is a pointer of Git LFS, and the gate does not fetch LFS objects: keep the file itself in the repository, "
        'or set lfs = "pointers" at the target if the release needs only pointers'
    )


def _mode(entry: os.DirEntry[str]) -> int:
    """Return the mode that git means: it knows only whether a file may be executed (git-fast-import(1), "mode")."""
    if entry.is_dir():
        return _FOLDER
    return _PROGRAM if entry.stat().st_mode & 0o100 else _FILE
