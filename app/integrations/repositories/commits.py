"""The commits and refs of a mirror: peel, compare, list.

Two ways to the same answers. libgit2 answers in this process, since these questions are frequent and starting git costs more
than an answer. The git program answers for mirrors that libgit2 cannot read: those of SHA-256 repositories.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import pygit2
from pygit2.enums import ConfigLevel, RepositoryOpenFlag, SortMode

from app.domain.change import LONGEST_MESSAGE
from app.domain.errors import ContentTooLarge, RepositoryUnavailable
from app.integrations.repositories.content.objects import Objects
from app.integrations.repositories.git import Git

BRANCHES, TAGS = "refs/tidegate/branches/", "refs/tidegate/tags/"
_SHA256_DIGITS = 64
_LARGEST_COMMIT = 16 * 1024 * 1024  # bytes
_PERSON = rb"^%s ([^<\n]*)<([^>\n]*)>"
_AUTHOR, _COMMITTER = (re.compile(_PERSON % role, re.M) for role in (b"author", b"committer"))
_PARENT = re.compile(rb"^parent ([0-9a-f]{64})$", re.M)
for _level in (ConfigLevel.PROGRAMDATA, ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
    pygit2.settings.search_path[_level] = ""  # as for git: the settings of this machine and its users are not read


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, as git records it. A message is cut after LONGEST_MESSAGE + 1 bytes.

    `is_new` is false for a commit that stands in a list only because there is no new one.
    """

    id: str
    author_name: bytes
    author_email: bytes
    committer_name: bytes
    committer_email: bytes
    message: bytes
    parents: tuple[str, ...]
    is_new: bool = True


class Commits(Protocol):
    """Questions about commits that are in the mirror. All but `peel` raise RepositoryUnavailable."""

    def peel(self, name: str) -> str | None:
        """Peel an object id or a ref of the mirror to its commit; None if the mirror has no such commit."""
        ...

    def contains(self, ancestor: str, descendant: str) -> bool:
        """Tell whether `descendant` contains `ancestor`."""
        ...

    def new(self, known: Sequence[str], sha: str, most: int) -> Iterator[Commit]:
        """Yield at most `most` commits of `sha` that none of `known` contains, each before its parents.

        If there are none, yield `sha` itself, marked as not new.
        """
        ...

    def tag(self, ref: str) -> tuple[str, bool] | None:
        """Return the object on which a ref of the mirror stands, and whether that is an annotated tag; None: no such ref."""
        ...


def commits_of(git: Git, mirror: Path) -> Commits:
    """Open the commits of a mirror; raises RepositoryUnavailable if it cannot be read at all."""
    try:
        return _ByLibrary(pygit2.Repository(str(mirror), RepositoryOpenFlag.BARE))
    except pygit2.GitError as fault:
        if object_format(mirror) == "sha256":
            return _ByProgram(git, mirror)
        raise RepositoryUnavailable(f"the mirror cannot be read: {fault}") from None


def object_format(mirror: Path) -> str:
    """Tell the hash of a mirror's ids, from its configuration."""
    return "sha256" if re.search(r"(?mi)^\s*objectformat\s*=\s*sha256\s*$", (mirror / "config").read_text()) else "sha1"


class _ByLibrary:
    def __init__(self, repository: pygit2.Repository) -> None:
        self._repository = repository

    def peel(self, name: str) -> str | None:
        try:
            target = self._repository.references.get(name) if name.startswith("refs/") else self._repository.get(name)
            return str(target.peel(pygit2.Commit).id) if target is not None else None
        except (KeyError, ValueError, pygit2.GitError):  # not a commit, or an id whose length is not this repository's
            return None

    def contains(self, ancestor: str, descendant: str) -> bool:
        try:
            return ancestor == descendant or self._repository.descendant_of(descendant, ancestor)
        except (KeyError, ValueError, pygit2.GitError) as fault:
            raise _unreadable(descendant, str(fault)) from None

    def new(self, known: Sequence[str], sha: str, most: int) -> Iterator[Commit]:
        try:
            walk = self._repository.walk(sha, SortMode.TOPOLOGICAL | SortMode.TIME)
            for oid in known:
                walk.hide(oid)
            count = 0
            for count, commit in enumerate(walk, 1):
                yield _of_library(commit)
                if count >= most:
                    break
            if count == 0:
                yield replace(_of_library(self._repository[sha].peel(pygit2.Commit)), is_new=False)
        except (KeyError, ValueError, pygit2.GitError) as fault:
            raise _unreadable(sha, str(fault)) from None

    def tag(self, ref: str) -> tuple[str, bool] | None:
        reference = self._repository.references.get(ref)
        if reference is None:
            return None
        return str(reference.target), isinstance(self._repository.get(reference.target), pygit2.Tag)


class _ByProgram:
    def __init__(self, git: Git, mirror: Path) -> None:
        self._git, self._mirror = git, mirror

    def peel(self, name: str) -> str | None:
        if not name.startswith("refs/") and len(name) != _SHA256_DIGITS:
            return None  # git would take a shorter id for the beginning of another
        result = self._git.run(self._mirror, "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}")
        return result.out.decode().strip() if result.code == 0 else None

    def contains(self, ancestor: str, descendant: str) -> bool:
        result = self._git.run(self._mirror, "merge-base", "--is-ancestor", ancestor, descendant)
        if result.code not in (0, 1):
            raise _unreadable(descendant, result.err.decode(errors="replace").strip()[:200])
        return result.code == 0

    def new(self, known: Sequence[str], sha: str, most: int) -> Iterator[Commit]:
        given = "".join([f"{sha}\n", *(f"^{oid}\n" for oid in known)]).encode()
        ids = self._git.read(self._mirror, "rev-list", "--date-order", f"--max-count={most}", "--stdin", given=given)
        new = ids.decode().split()
        with Objects(self._git, self._mirror) as objects:
            for oid, size, body in objects.each(new or [sha], "commit"):
                if size > _LARGEST_COMMIT:
                    raise ContentTooLarge(f"commit {oid[:12]} is larger than {_LARGEST_COMMIT} bytes")
                yield replace(_parse(oid, b"".join(body)), is_new=bool(new))

    def tag(self, ref: str) -> tuple[str, bool] | None:
        answer = self._git.read(self._mirror, "for-each-ref", "--format=%(objectname) %(objecttype)", ref).decode().split()
        return (answer[0], answer[1] == "tag") if answer else None


def _of_library(commit: pygit2.Commit) -> Commit:
    author, committer = (_person(who.raw_name, who.raw_email) for who in (commit.author, commit.committer))
    parents = tuple(str(parent) for parent in commit.parent_ids)
    return Commit(str(commit.id), *author, *committer, bytes(commit.raw_message)[: LONGEST_MESSAGE + 1], parents)


def _parse(oid: str, raw: bytes) -> Commit:
    """Read a raw commit. A person that is not written as git writes one has no e-mail, and so is nobody."""
    head, _, message = raw.partition(b"\n\n")
    found = (_AUTHOR.search(head), _COMMITTER.search(head))
    author, committer = (_person(who[1].strip(), who[2].strip()) if who else (b"", b"") for who in found)
    parents = tuple(parent.decode() for parent in _PARENT.findall(head))
    return Commit(oid, *author, *committer, message[: LONGEST_MESSAGE + 1], parents)


def _person(name: bytes | None, email: bytes | None) -> tuple[bytes, bytes]:
    return bytes(name or b""), bytes(email or b"")


def _unreadable(sha: str, why: str) -> RepositoryUnavailable:
    return RepositoryUnavailable(f"the commits of {sha} cannot be read: {why}")
