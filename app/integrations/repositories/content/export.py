"""The export of a commit: its files, byte for byte the blobs, written into a new folder.

Git's own checkout obeys attributes of the repository, which change bytes; this does not read them. Nothing is written
through a link: folders come first, then files that must not exist yet, then links.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from app.domain.change import LONGEST_LINK
from app.domain.errors import ContentTooLarge, RepositoryUnavailable, UnsafeContent
from app.integrations.repositories.content.objects import Body, Objects
from app.integrations.repositories.content.trees import EXECUTABLE, LINK, SUBMODULE, Difference, Walk
from app.integrations.repositories.git import GitLimits

_BYTES_A_FILE = 512  # of tree objects, about, for each file that may be exported
_IN_THE_WAY = frozenset((errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.EISDIR))
_UNFIT = frozenset((errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL, errno.ENOENT))
# Code points that HFS+ ignores in names (git's utf8.c, next_hfs_char)
_IGNORED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


def export(objects: Objects, sha: str, destination: Path, limits: GitLimits) -> None:
    """Write the files of commit `sha` into the existing, empty folder `destination`.

    A submodule becomes an empty folder, as git leaves it. Raises ContentTooLarge, UnsafeContent if a path cannot be written
    safely, RepositoryUnavailable if the disk refuses, and as Objects.
    """
    leaves = _leaves(objects, sha, limits)
    root = os.fsencode(destination.resolve())
    _make_folders(root, leaves)
    files = [leaf for leaf in leaves if leaf.new is not None and leaf.new.mode not in (LINK, SUBMODULE)]
    links = [leaf for leaf in leaves if leaf.new is not None and leaf.new.mode == LINK]
    left = _write_all(objects, files, limits.export_bytes, limits, lambda leaf, size, body: _write_file(root, leaf, body))
    _write_all(objects, links, left, limits, lambda leaf, size, body: _write_link(root, leaf, size, body))


def _leaves(objects: Objects, sha: str, limits: GitLimits) -> list[Difference]:
    most = limits.export_files
    walk = Walk(objects, most_folders=most, most_bytes=max(_BYTES_A_FILE * most, 1024 * 1024))
    leaves: list[Difference] = []
    try:
        for leaf in walk.differences(None, sha):
            _check_path(leaf)
            leaves.append(leaf)
            if len(leaves) > most:
                raise ContentTooLarge(f"it has more than {most} files")
    except ContentTooLarge as fault:
        raise ContentTooLarge(f"commit {sha[:12]} is not exported: {fault} (TIDEGATE_EXPORT_FILES is {most})") from None
    return sorted(leaves, key=lambda leaf: leaf.path)


def _write_all(
    objects: Objects, leaves: list[Difference], left: int, limits: GitLimits, write: Callable[[Difference, int, Body], None]
) -> int:
    """Write what the leaves name; return how many bytes of the limit are left."""
    answers = objects.each([leaf.new.id for leaf in leaves if leaf.new is not None], "blob")
    for leaf, (_, size, body) in zip(leaves, answers, strict=True):
        left -= size
        if left < 0:
            raise ContentTooLarge(f"its files are larger than {limits.export_bytes} bytes (TIDEGATE_EXPORT_BYTES)")
        try:
            write(leaf, size, body)
        except OSError as fault:
            raise _refusal(leaf.path, fault) from None
    return left


def _make_folders(root: bytes, leaves: list[Difference]) -> None:
    folders = {parent for leaf in leaves for parent in _parents(leaf.path)}
    folders |= {leaf.path for leaf in leaves if leaf.new is not None and leaf.new.mode == SUBMODULE}
    for folder in sorted(folders):
        try:
            os.mkdir(os.path.join(root, folder))
        except OSError as fault:
            raise _refusal(folder, fault) from None


def _parents(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:n]) for n in range(1, len(parts))]


def _write_file(root: bytes, leaf: Difference, body: Body) -> None:
    mode = 0o777 if leaf.new is not None and leaf.new.mode == EXECUTABLE else 0o666  # less the umask
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(os.path.join(root, leaf.path), flags, mode), "wb", buffering=0) as file:
        for piece in body:
            rest = memoryview(piece)
            while rest:
                rest = rest[file.write(rest) :]


def _write_link(root: bytes, leaf: Difference, size: int, body: Body) -> None:
    target = b"".join(body) if 0 < size <= LONGEST_LINK else b""
    if not target or b"\0" in target:
        raise UnsafeContent(f"the link {_shown(leaf.path)} has a target that no link can have")
    os.symlink(target, os.path.join(root, leaf.path))


def _check_path(leaf: Difference) -> None:
    """Refuse the names that git refuses to check out (git-config(1), core.protectHFS and core.protectNTFS)."""
    for name in leaf.path.split(b"/"):
        if name in (b".", b"..") or any(_plain(part) in (".git", "git~1") for part in name.split(b"\\")):
            raise UnsafeContent(
                f"the path {_shown(leaf.path)} is not released: {_shown(name)} could stand for a folder of git's own"
            )
    is_link = leaf.new is not None and leaf.new.mode == LINK
    if is_link and _plain(leaf.path.rpartition(b"/")[2]) == ".gitmodules":
        raise UnsafeContent(f"{_shown(leaf.path)} is a link, and git would read through it")


def _plain(name: bytes) -> str:
    """Return a name as a file system may see it that ignores case, some characters, and an end of dots and spaces."""
    return name.decode(errors="replace").translate(_IGNORED).partition(":")[0].rstrip(" .").casefold()


def _refusal(path: bytes, fault: OSError) -> UnsafeContent | RepositoryUnavailable:
    if fault.errno in _IN_THE_WAY:
        return UnsafeContent(f"{_shown(path)} cannot be written: this disk holds another path of that name (in another case?)")
    if fault.errno in _UNFIT:
        return UnsafeContent(f"{_shown(path)} cannot be written on this disk: {fault.strerror}")
    return RepositoryUnavailable(f"{_shown(path)} cannot be written: {fault.strerror}")


def _shown(path: bytes) -> str:
    return path[:200].decode(errors="backslashreplace")
