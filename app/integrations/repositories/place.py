"""The folders of mirrors: made on first use, brought to this version's layout, and locked between processes.

A mirror is used under a shared lock. It is made, made anew and maintained under the exclusive one. The lock's file lies beside
the mirror, since the mirror itself may be replaced.
"""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.domain.errors import UnknownCommit
from app.integrations.repositories.commits import BRANCHES, TAGS, object_format
from app.integrations.repositories.git import Git

_SAFE_KEY = re.compile(r"\A[a-z0-9][a-z0-9-]*:(?!\.)[A-Za-z0-9._-]+/(?!\.)[A-Za-z0-9._-]+\Z")
_SAFE_REF = re.compile(r"\Arefs/(heads|tags)/(?!.*(?:\.\.|//|@\{|\.lock(?:/|\Z)|/\.))[^\x00-\x20\x7f~^:?*\[\\]+(?<![./])\Z")
_LAYOUT = "tidegate-layout-2"  # an empty file in every mirror of this layout
_PAUSE = 0.05  # seconds between two looks at a lock
_OLD_REFS = ("refs/tidegate/heads/", "refs/tidegate/tags/")  # of the first layout, which kept each ref under its own name


class Places:
    """The mirrors below one folder."""

    def __init__(self, folder: Path, git: Git) -> None:
        self._folder = folder
        self._git = git

    @contextmanager
    def use(self, repository: str) -> Iterator[Path]:
        """Use the repository's mirror, made on first use, while nothing replaces or prunes it."""
        mirror = self.path(repository)
        with hold(_lock_file(mirror), fcntl.LOCK_SH):
            is_ready = (mirror / _LAYOUT).exists()
            if is_ready:
                yield mirror
        if not is_ready:
            with hold(_lock_file(mirror), fcntl.LOCK_EX):
                self._prepare(mirror)
            with hold(_lock_file(mirror), fcntl.LOCK_SH):
                yield mirror

    @contextmanager
    def own(self, repository: str, *, within: float) -> Iterator[tuple[Path, int] | None]:
        """Have the mirror alone, with its lock's file; None if others use it for longer than `within` seconds."""
        mirror = self.path(repository)
        with _lock_file(mirror).open("a") as lock:
            yield (mirror, lock.fileno()) if _take(lock.fileno(), time.monotonic() + within) else None

    def is_made(self, repository: str) -> bool:
        """Tell whether there is a mirror of this layout."""
        return (self.path(repository) / _LAYOUT).exists()

    def make_anew(self, repository: str, wanted: str) -> None:
        """Make the mirror anew if its ids are not made with the hash `wanted` (`sha1`, `sha256`)."""
        mirror = self.path(repository)
        with hold(_lock_file(mirror), fcntl.LOCK_EX):
            if object_format(mirror) != wanted:
                self._make(mirror, wanted)

    def path(self, repository: str) -> Path:
        """Return the folder of a mirror; raises UnknownCommit if `repository` is not `FORGE:OWNER/NAME`."""
        if not _SAFE_KEY.match(repository):
            raise UnknownCommit(f"{repository!r} is not a repository name")
        forge, _, full_name = repository.partition(":")
        return self._folder / forge / f"{full_name.lower()}.git"

    def _prepare(self, mirror: Path) -> None:
        if (mirror / _LAYOUT).exists():
            return  # another process was faster
        if (mirror / "HEAD").exists():
            self._rename_refs(mirror)
        else:
            self._make(mirror, "sha1")

    def _make(self, mirror: Path, wanted: str) -> None:
        fresh = Path(tempfile.mkdtemp(prefix="new-", dir=mirror.parent))
        self._git.read(fresh, "init", "--quiet", "--bare", "--template=", f"--object-format={wanted}", ".")
        (fresh / _LAYOUT).touch()
        shutil.rmtree(mirror, ignore_errors=True)
        fresh.rename(mirror)

    def _rename_refs(self, mirror: Path) -> None:
        """Bring a mirror of the first layout to this one: there a branch `a` kept every branch `a/b` out."""
        listed = self._git.read(mirror, "for-each-ref", "--format=%(objectname) %(refname)", *_OLD_REFS).decode()
        rows = [line.split(" ", 1) for line in listed.splitlines()]
        lines = [f"update {tracking(name.replace('tidegate/', '', 1))} {oid}\ndelete {name} {oid}\n" for oid, name in rows]
        self._git.read(mirror, "update-ref", "--stdin", given="".join(lines).encode())
        (mirror / _LAYOUT).touch()


def tracking(ref: str) -> str:
    """Return the mirror's own name of a ref of the forge.

    It is a hash, so that no ref stands in another's way, as `hotfix` in that of `hotfix/login`, or `Main` in that of `main`.
    """
    kind = BRANCHES if ref.startswith("refs/heads/") else TAGS
    return kind + hashlib.sha256(ref.encode(errors="surrogateescape")).hexdigest()


def check_ref(ref: str) -> None:
    """Refuse every name that git-check-ref-format(1) refuses, before git sees it; raises UnknownCommit."""
    if not _SAFE_REF.match(ref):
        raise UnknownCommit(f"{ref[:200]!r} is not a branch or tag name")


@contextmanager
def hold(path: Path, kind: int) -> Iterator[None]:
    """Hold a lock between processes (LOCK_SH or LOCK_EX). It ends with the process, so nothing stays locked."""
    with path.open("a") as lock:
        fcntl.flock(lock, kind)
        yield


def _lock_file(mirror: Path) -> Path:
    path = mirror.with_suffix(".lock")
    if not path.parent.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _take(lock: int, ends: float) -> bool:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= ends:
                return False
            time.sleep(_PAUSE)
        else:
            return True
