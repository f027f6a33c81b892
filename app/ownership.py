"""Files that give rights are taken only from folders of our own: whoever starts a command in a folder of somebody else's must
not be handed that one's database, keys or rules. The rule is that of ssh and git (git-config(1), safe.directory).
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from pathlib import Path

ROOT = 0
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class NotOurs(Exception):
    """A file or folder is not ours alone. The text says which, and why."""


def read_own(path: Path) -> str | None:
    """Return the text of a file that is ours alone, in a folder that is ours alone; None if it does not exist.

    Raises NotOurs. Both are opened first and judged then, so that neither can be replaced in between.
    """
    folder = _open(path.parent, os.O_DIRECTORY)
    if folder is None:
        return None
    try:
        _check(path.parent, os.fstat(folder), _OTHERS_MAY_WRITE)
        file = _open(path, 0, at=folder)
        if file is None:
            return None
        with os.fdopen(file, encoding="utf-8") as opened:
            _check(path, os.fstat(file), _OTHERS_MAY_WRITE)
            return opened.read()
    finally:
        os.close(folder)


def check_own_folder(path: Path) -> None:
    """Raise NotOurs unless the folder is ours alone, or does not exist yet."""
    folder = _open(path, os.O_DIRECTORY)
    if folder is not None:
        try:
            _check(path, os.fstat(folder), _OTHERS_MAY_WRITE)
        finally:
            os.close(folder)


def check_rules_folder(file: Path) -> None:
    """Raise NotOurs if a stranger could have written the rules in this file's folder: owned by us or root, not open to all.

    A group that may write is allowed: where each user has a group of their own, every file is so.
    """
    for path in (file.absolute().parent, file):
        try:
            status = path.stat()
        except OSError:
            return  # reading it says why
        _check(path, status, stat.S_IWOTH, owners=(os.geteuid(), ROOT))


def _open(path: Path, flags: int, *, at: int | None = None) -> int | None:
    try:
        name = path if at is None else path.name
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=at)
    except FileNotFoundError:
        return None
    except OSError as fault:
        if fault.errno in (errno.ELOOP, errno.ENOTDIR):
            raise NotOurs(f"{path} is a link, or not what it should be") from None
        raise NotOurs(f"{path} cannot be read: {fault.strerror}") from None


def _check(path: Path, status: os.stat_result, too_open: int, *, owners: tuple[int, ...] | None = None) -> None:
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise NotOurs(f"{path} is neither a file nor a folder")
    if status.st_uid not in (owners or (os.geteuid(),)):
        raise NotOurs(f"{path} belongs to {_name(status.st_uid)}, not to {_name(os.geteuid())}")
    if status.st_mode & too_open:
        raise NotOurs(f"{path} may be written by others (mode {stat.S_IMODE(status.st_mode):04o}); chmod go-w it")


def _name(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user id {uid}"
