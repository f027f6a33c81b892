"""Repositories through bare mirrors and the git program: fetch by ref, peel, compare, list authors, verify, export.

Refs and ids come from payloads: they are checked before git gets them, and never stand where an option could. Nothing of the
repository runs: no hooks, no filter programs, no submodules. Next: `place.py` (folders and locks), `remote.py` (the forge),
`commits.py` and `content/` (what the mirror holds).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

from app.domain.change import MOST_COMMITS, Changes
from app.domain.errors import ContentTooLarge, RepositorySlow, RepositoryUnavailable, UnknownCommit, UnsafeContent
from app.domain.event import is_object_id
from app.domain.signature import CommitKey, SignedObject
from app.integrations.repositories.changes import read_changes
from app.integrations.repositories.commits import Commit, commits_of
from app.integrations.repositories.content.export import export
from app.integrations.repositories.content.objects import Objects
from app.integrations.repositories.git import Git, GitLimits
from app.integrations.repositories.maintenance import KEEP, maintain, refs
from app.integrations.repositories.place import Places, check_ref, hold, tracking
from app.integrations.repositories.protocol import COMMITS_LISTED, CommitAuthor, Upkeep
from app.integrations.repositories.remote import OtherFormat, Remote
from app.integrations.repositories.signatures import TagObject, verify

LONGEST_EMAIL = 320  # RFC 3696, erratum 1690, says 254; some more is kept, to be shown
_UPKEEP_EVERY = timedelta(days=1)
_UPKEEP_PATIENCE = 10.0  # seconds of waiting until nobody uses the mirror
MOST_TIMEOUTS = 3  # of git about one commit, before it counts as too large
_LIMITS = GitLimits()
Answer = TypeVar("Answer")


class Mirror:
    """Bare mirrors below one folder (protocol: CommitSource). Safe for many processes at once."""

    def __init__(
        self,
        folder: Path,
        clone_url: Callable[[str], str],
        token: Callable[[str], str | None],
        *,
        environ: Mapping[str, str],
        limits: GitLimits = _LIMITS,
    ) -> None:
        self._git = Git(environ, limits)
        self._places = Places(folder, self._git)
        self._remote = Remote(self._git, clone_url, token)

    def fetch(self, repository: str, ref: str, object_id: str | None) -> str:
        """Bring `ref` up to date if needed; return the commit to deploy.

        Raises RepositoryUnavailable, UnknownCommit or ContentTooLarge.
        """
        check_ref(ref)
        return self._in_right_format(repository, lambda mirror: self._bring(mirror, repository, ref, object_id))

    def head(self, repository: str, ref: str) -> str | None:
        """Ask the forge for the commit that `ref` stands on now, and bring it into the mirror; None if the ref is gone."""
        check_ref(ref)
        return self._in_right_format(repository, lambda mirror: self._bring_head(mirror, repository, ref))

    def authors(self, repository: str, known: Sequence[str], sha: str) -> list[CommitAuthor]:
        """List the commits of `sha` that none of `known` contains, newest first; `sha` itself, as not new, if there are none."""
        with self._places.use(repository) as mirror, _counted(mirror, sha):
            return [_author(c) for c in self._new_commits(mirror, known, sha, COMMITS_LISTED + 1)]

    def changes(self, repository: str, bases: Sequence[str | None], sha: str, *, known: Sequence[str] | None = None) -> Changes:
        """Read all that is in `sha` but not in each of `bases`; a base that is None or not in the mirror is empty.

        The messages are those of the commits that `authors` lists for `known` (None: for one base after the other). A limit that
        is met is told in the answer: it would be met again.
        """
        with self._places.use(repository) as mirror:
            try:
                with _counted(mirror, sha), Objects(self._git, mirror) as objects:
                    self._check_held(mirror, repository, sha)
                    held = [base if base is not None and self._commit(mirror, base) is not None else None for base in bases]
                    hidden = [known] if known is not None else [[base] if base else [] for base in dict.fromkeys(held)]
                    parts = [self._new_commits(mirror, part, sha, MOST_COMMITS + 1) for part in hidden]
                    commits = {c.id: c for part in parts for c in part}
                    return read_changes(objects, held, sha, commits=commits.values())
            except (ContentTooLarge, UnsafeContent) as fault:
                return Changes(is_whole=False, paths_known=False, why_not=str(fault))

    def is_ancestor(self, repository: str, ancestor: str, descendant: str) -> bool:
        """Tell whether `descendant` contains `ancestor`."""
        with self._places.use(repository) as mirror, _counted(mirror, descendant):
            return self._contains(mirror, ancestor, descendant)

    def signatures(
        self, repository: str, *, commits: Sequence[str], tag_ref: str | None, keys: Sequence[CommitKey]
    ) -> list[SignedObject]:
        """Verify the signatures of the first COMMITS_VERIFIED of `commits`, then that of an annotated tag, against `keys`.

        Raises RepositoryUnavailable, also if ssh-keygen or gpg is needed but missing, UnknownCommit or ContentTooLarge.
        """

        def answer(mirror: Path) -> list[SignedObject]:
            if tag_ref is not None:
                # The mirror may have the commit without the tag, and the tag may have moved.
                self._fetch(mirror, repository, tag_ref)
            tag = self._tag(mirror, tag_ref) if tag_ref is not None else None
            with _counted(mirror, commits[0] if commits else "tag"):
                return verify(self._git, mirror, commits, tag=tag, keys=keys)

        if tag_ref is not None:
            check_ref(tag_ref)
        return self._in_right_format(repository, answer)

    def export(self, repository: str, sha: str, destination: Path) -> None:
        """Write the files of commit `sha` into the existing, empty folder `destination`: the bytes of its blobs.

        Raises UnknownCommit, RepositoryUnavailable, ContentTooLarge, or UnsafeContent if a path must not be written.
        """
        limits = self._git.limits
        with (
            self._places.use(repository) as mirror,
            _counted(mirror, sha),
            Objects(self._git, mirror, seconds=limits.fetch_seconds) as objects,
        ):
            self._check_held(mirror, repository, sha)
            export(objects, sha, destination, limits)

    def maintain(self, repository: str, now: datetime, keep: Callable[[], Sequence[str]]) -> Upkeep:
        """Do the upkeep of the repository's mirror, once a day, while nobody else uses it.

        `keep` lists the commits that must stay, and is asked while the mirror is ours: a fetch that comes later waits, and
        brings its own. Raises RepositoryUnavailable or ContentTooLarge.
        """
        stamp = self._places.path(repository) / "maintained"
        if not self._places.is_made(repository) or _is_younger(stamp, now, _UPKEEP_EVERY):
            return Upkeep.NOT_DUE
        with self._places.use(repository) as mirror:
            before = refs(self._git, mirror)
            there = {tracking(ref) for ref in self._remote.refs(mirror, repository)}
        with self._places.own(repository, within=_UPKEEP_PATIENCE) as owned:
            if owned is None:
                return Upkeep.BUSY
            mirror, lock = owned
            _touch(stamp, now)  # also if it fails: a mirror that cannot be repacked in time is tried once a day
            after = refs(self._git, mirror)
            gone = {n for n, oid in before.items() if after.get(n) == oid and n not in there and not n.startswith(KEEP)}
            maintain(self._git, mirror, gone=gone, keep=keep(), lock=lock)
            return Upkeep.DONE

    def _in_right_format(self, repository: str, act: Callable[[Path], Answer]) -> Answer:
        """Act on the mirror. If the forge makes ids with another hash, make the mirror anew with that one, and act once more."""
        try:
            with self._places.use(repository) as mirror:
                return act(mirror)
        except OtherFormat as other:
            self._places.make_anew(repository, str(other))
        try:
            with self._places.use(repository) as mirror:
                return act(mirror)
        except OtherFormat as other:
            raise RepositoryUnavailable(f"{repository} changes the hash of its ids again and again: now it is {other}") from None

    def _bring(self, mirror: Path, repository: str, ref: str, object_id: str | None) -> str:
        if object_id is not None and (known := self._complete_commit(mirror, ref, object_id)) is not None:
            return known  # the object of an id never changes
        self._fetch(mirror, repository, ref)
        commit = self._commit(mirror, object_id or tracking(ref))
        if commit is None:
            raise UnknownCommit(f"{ref} of {repository} does not hold {object_id or 'a commit'}")
        return commit

    def _bring_head(self, mirror: Path, repository: str, ref: str) -> str | None:
        head = self._remote.head(mirror, repository, ref)
        if head is None or self._complete_commit(mirror, ref, head) is not None:
            return head
        self._fetch(mirror, repository, ref)
        return self._commit(mirror, tracking(ref))  # the ref may have moved on since the question

    def _fetch(self, mirror: Path, repository: str, ref: str) -> None:
        with _lock(mirror):
            self._remote.fetch(mirror, repository, ref)

    def _new_commits(self, mirror: Path, known: Sequence[str], sha: str, most: int) -> Iterator[Commit]:
        """Yield the commits of `sha` that none of `known` contains, newest first; `sha` itself, as not new, if there are none."""
        held = [commit for commit in known if self._commit(mirror, commit) is not None]
        return commits_of(self._git, mirror).new(held, sha, most)

    def _complete_commit(self, mirror: Path, ref: str, object_id: str) -> str | None:
        """Peel an id to its commit, if the mirror has the commit with all of its objects.

        Git unpacks the newest commit first, so a commit may be here from a fetch that still runs or was killed. A ref is set
        last. A commit that no ref contains is whole if git finds its objects while no fetch runs.
        """
        commit = self._commit(mirror, object_id)
        if commit is None:
            return None
        with suppress(RepositoryUnavailable):
            tip = self._commit(mirror, tracking(ref))
            if tip is not None and self._contains(mirror, commit, tip):
                return commit
        with suppress(RepositoryUnavailable), _lock(mirror):
            self._git.read(mirror, "rev-list", "--quiet", "--objects", commit, "--not", "--all")
            return commit
        return None

    def _commit(self, mirror: Path, name: str) -> str | None:
        """Peel `name` (an id or a tracking ref) to its commit, if the mirror has it."""
        if not (is_object_id(name) or name.startswith("refs/tidegate/")):
            raise UnknownCommit(f"{name!r} is not an object id")
        return commits_of(self._git, mirror).peel(name)

    def _check_held(self, mirror: Path, repository: str, sha: str) -> None:
        if self._commit(mirror, sha) is None:
            raise UnknownCommit(f"{repository} does not hold {sha}")

    def _tag(self, mirror: Path, ref: str) -> TagObject | None:
        """Find the annotated tag that `ref` names; None if it is a lightweight one."""
        found = commits_of(self._git, mirror).tag(tracking(ref)) if ref.startswith("refs/tags/") else None
        if found is None:
            raise UnknownCommit(f"the repository does not hold the tag {ref}")
        object_id, is_annotated = found
        return TagObject(object_id, ref.removeprefix("refs/tags/")) if is_annotated else None

    def _contains(self, mirror: Path, ancestor: str, descendant: str) -> bool:
        if not (is_object_id(ancestor) and is_object_id(descendant)):
            return False
        if self._commit(mirror, ancestor) is None:
            return False  # the mirror has every commit that `descendant` contains
        return commits_of(self._git, mirror).contains(ancestor, descendant)


@contextmanager
def _counted(mirror: Path, sha: str) -> Iterator[None]:
    """Count how often git took too long about a commit; raises ContentTooLarge once it is too often, since it would go on so."""
    try:
        yield
    except RepositorySlow as fault:
        if not is_object_id(sha):
            raise
        with (mirror / f"slow-{sha}").open("a") as file:
            file.write(".")
            count = file.tell()
        if count < MOST_TIMEOUTS:
            raise
        raise ContentTooLarge(f"git took too long {count} times, the last time: {fault}") from None


def _is_younger(path: Path, now: datetime, age: timedelta) -> bool:
    return path.exists() and abs(now.timestamp() - path.stat().st_mtime) < age.total_seconds()


def _touch(path: Path, now: datetime) -> None:
    path.touch()
    os.utime(path, (now.timestamp(), now.timestamp()))


def _author(commit: Commit) -> CommitAuthor:
    emails = _email(commit.author_email), _email(commit.committer_email)
    return CommitAuthor(commit.id, *emails, commit.parents, commit.is_new)


def _email(raw: bytes) -> str:
    """Return an e-mail by its bytes. Bytes that are not UTF-8 are marked."""
    email = raw.decode(errors="replace")
    return email if len(email) <= LONGEST_EMAIL else f"{email[:LONGEST_EMAIL]}…"  # no principal has such an e-mail


@contextmanager
def _lock(mirror: Path) -> Iterator[None]:
    """Keep every other fetch out."""
    with hold(mirror / "fetch.lock", fcntl.LOCK_EX):
        yield
