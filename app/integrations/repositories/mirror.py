"""Repositories through bare mirrors and the git program: fetch by ref, peel, compare, list authors, verify, export.

Refs and ids come from payloads: they are checked before git gets them, and never stand where an option could. Nothing of the
repository runs: no hooks, no filter programs, no submodules. Git gets the credential in the environment of its process
(`GIT_CONFIG_*`, git-config(1)), not in its arguments.
"""

from __future__ import annotations

import base64
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pygit2
from pygit2.enums import ConfigLevel, RepositoryOpenFlag

from app.domain.change import Changes
from app.domain.errors import RepositoryUnavailable, UnknownCommit
from app.domain.event import is_object_id
from app.domain.signature import CommitKey, SignedObject
from app.integrations.repositories.changes import read_changes
from app.integrations.repositories.git import Git
from app.integrations.repositories.history import new_commits
from app.integrations.repositories.protocol import CommitAuthor
from app.integrations.repositories.signatures import TagObject, verify

_SAFE_KEY = re.compile(r"\A[a-z0-9][a-z0-9-]*:(?!\.)[A-Za-z0-9._-]+/(?!\.)[A-Za-z0-9._-]+\Z")
_SAFE_REF = re.compile(r"\Arefs/(heads|tags)/(?!.*(?:\.\.|//|@\{|\.lock(?:/|\Z)|/\.))[^\x00-\x20\x7f~^:?*\[\\]+(?<![./])\Z")
_EXACTLY = RepositoryOpenFlag.BARE | RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.NO_DOTGIT
for _level in (ConfigLevel.PROGRAMDATA, ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
    pygit2.settings.search_path[_level] = ""  # as for git: the settings of this machine and its users are not read


class Mirror:
    """Bare mirrors below one folder (protocol: CommitSource). Safe for many processes at once."""

    def __init__(
        self,
        folder: Path,
        clone_url: Callable[[str], str],
        token: Callable[[str], str | None],
        *,
        environ: Mapping[str, str],
        timeout: float = 60.0,
    ) -> None:
        self._folder = folder
        self._clone_url = clone_url
        self._token = token
        self._git = Git(environ, timeout)

    def fetch(self, repository: str, ref: str, object_id: str | None) -> str:
        """Bring `ref` up to date if needed; return the commit to deploy.

        Raises RepositoryUnavailable or UnknownCommit.
        """
        mirror = self._mirror(repository)
        if object_id is not None and (known := self._complete_commit(mirror, ref, object_id)) is not None:
            return known  # the object of an id never changes
        self._fetch(mirror, repository, ref)
        commit = self._commit(mirror, object_id or _tracking(ref))
        if commit is None:
            raise UnknownCommit(f"{ref} of {repository} does not hold {object_id or 'a commit'}")
        return commit

    def head(self, repository: str, ref: str) -> str | None:
        """Ask the forge for the commit that `ref` stands on now, and bring it into the mirror; None if the ref is gone."""
        mirror = self._mirror(repository)
        _check_ref(ref)
        head = self._remote_head(mirror, repository, ref)
        if head is None or self._complete_commit(mirror, ref, head) is not None:
            return head
        self._fetch(mirror, repository, ref)
        return self._commit(mirror, _tracking(ref))  # the ref may have moved on since the question

    def authors(self, repository: str, known: Sequence[str], sha: str) -> list[CommitAuthor]:
        """List the commits of `sha` that none of `known` contains, newest first; `sha` itself, as not new, if there are none."""
        mirror = self._mirror(repository)
        held = [commit for commit in known if self._commit(mirror, commit) is not None]
        return new_commits(_open(mirror), held, sha)

    def changes(self, repository: str, bases: Sequence[str | None], sha: str, *, known: Sequence[str] | None = None) -> Changes:
        """Read all that is in `sha` but not in each of `bases`; a base that is None or not in the mirror is empty.

        The messages are those of the commits that `authors` lists for `known` (None: for one base after the other).
        """
        mirror = self._mirror(repository)
        if self._commit(mirror, sha) is None:
            raise UnknownCommit(f"{repository} does not hold {sha}")
        held = [base if base is not None and self._commit(mirror, base) is not None else None for base in bases]
        opened = _open(mirror)
        hidden = [known] if known is not None else [[base] if base is not None else [] for base in dict.fromkeys(held)]
        shas = dict.fromkeys(commit.sha for part in hidden for commit in self.authors(repository, part, sha))
        commits = (opened[commit].peel(pygit2.Commit) for commit in shas)
        return read_changes(self._git, mirror, held, sha, commits=commits)

    def is_ancestor(self, repository: str, ancestor: str, descendant: str) -> bool:
        """Tell whether `descendant` contains `ancestor`."""
        return self._contains(self._mirror(repository), ancestor, descendant)

    def signatures(
        self, repository: str, *, commits: Sequence[str], tag_ref: str | None, keys: Sequence[CommitKey]
    ) -> list[SignedObject]:
        """Verify the signatures of the first COMMITS_VERIFIED of `commits`, then that of an annotated tag, against `keys`.

        Raises RepositoryUnavailable, also if ssh-keygen or gpg is needed but missing, or UnknownCommit.
        """
        mirror = self._mirror(repository)
        if tag_ref is not None:
            self._fetch(mirror, repository, tag_ref)  # the mirror may have the commit without the tag, and the tag may have moved
        tag = self._tag(mirror, tag_ref) if tag_ref is not None else None
        return verify(self._git, mirror, commits, tag=tag, keys=keys)

    def export(self, repository: str, sha: str, destination: Path) -> None:
        """Write the files of commit `sha` into the existing, empty folder `destination`.

        Each export has its own index, so links and executable bits survive, and exports can run side by side. Git refuses
        paths that leave the folder or that name `.git`.
        """
        mirror = self._mirror(repository)
        if self._commit(mirror, sha) is None:
            raise UnknownCommit(f"{repository} does not hold {sha}")
        with tempfile.TemporaryDirectory(prefix="index-", dir=mirror) as scratch:
            more = {"GIT_INDEX_FILE": f"{scratch}/index", "GIT_WORK_TREE": str(destination.resolve())}
            self._git.read(mirror, "read-tree", "--reset", "-u", sha, more=more, settings=["core.bare=false"])

    def _mirror(self, repository: str) -> Path:
        """Return the repository's mirror, made on first use."""
        if not _SAFE_KEY.match(repository):
            raise UnknownCommit(f"{repository!r} is not a repository name")
        forge, _, full_name = repository.partition(":")
        mirror = self._folder / forge / f"{full_name.lower()}.git"
        if (mirror / "HEAD").exists():
            return mirror
        mirror.parent.mkdir(parents=True, exist_ok=True)
        with _lock(mirror.with_suffix(".lock")):
            if not (mirror / "HEAD").exists():
                fresh = Path(tempfile.mkdtemp(prefix="new-", dir=mirror.parent))
                self._git.read(fresh, "init", "--quiet", "--bare", "--template=", ".")
                shutil.rmtree(mirror, ignore_errors=True)
                fresh.rename(mirror)
        return mirror

    def _remote_head(self, mirror: Path, repository: str, ref: str) -> str | None:
        """Ask the forge for the commit of `ref`; None: there is none. A forge on this machine is read from disk."""
        url = self._clone_url(repository)
        head = _read_beside(url, ref)
        if head is not None:
            return head
        answer = self._remote(mirror, repository, "ls-remote", "--", url, ref, f"{ref}^{{}}")
        heads = {name: oid for oid, _, name in (line.partition("\t") for line in answer.splitlines())}
        return heads.get(f"{ref}^{{}}") or heads.get(ref)

    def _fetch(self, mirror: Path, repository: str, ref: str) -> None:
        _check_ref(ref)
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--force")
        with _lock(mirror / "fetch.lock"):
            try:
                url = self._clone_url(repository)
                self._remote(mirror, repository, "fetch", *options, "--", url, f"{ref}:{_tracking(ref)}")
            except RepositoryUnavailable as fault:
                if "couldn't find remote ref" in str(fault):
                    raise UnknownCommit(f"{repository} has no {ref}") from None
                raise

    def _complete_commit(self, mirror: Path, ref: str, object_id: str) -> str | None:
        """Peel an id to its commit, if the mirror has the commit with all of its objects.

        Git unpacks the newest commit first, so a commit may be here from a fetch that still runs or was killed. A ref is set
        last. A commit that no ref contains is whole if git finds its objects while no fetch runs.
        """
        _check_ref(ref)
        commit = self._commit(mirror, object_id)
        if commit is None:
            return None
        with suppress(RepositoryUnavailable):
            tip = self._commit(mirror, _tracking(ref))
            if tip is not None and self._contains(mirror, commit, tip):
                return commit
        with suppress(RepositoryUnavailable), _lock(mirror / "fetch.lock"):
            self._git.read(mirror, "rev-list", "--quiet", "--objects", commit, "--not", "--all")
            return commit
        return None

    def _commit(self, mirror: Path, name: str) -> str | None:
        """Peel `name` (an id or a tracking ref) to its commit, if the mirror has it. It is read in this process, for speed."""
        if not (is_object_id(name) or name.startswith("refs/tidegate/")):
            raise UnknownCommit(f"{name!r} is not an object id")
        try:
            repository = _open(mirror)
            target = repository.get(name) if is_object_id(name) else repository.references.get(name)
            return str(target.peel(pygit2.Commit).id) if target is not None else None
        except pygit2.GitError:  # not a commit, or an id whose length is not this repository's
            return None

    def _tag(self, mirror: Path, ref: str) -> TagObject | None:
        """Find the annotated tag that `ref` names; None if it is a lightweight one."""
        _check_ref(ref)
        reference = _open(mirror).references.get(_tracking(ref)) if ref.startswith("refs/tags/") else None
        if reference is None:
            raise UnknownCommit(f"the repository does not hold the tag {ref}")
        is_annotated = isinstance(_open(mirror).get(reference.target), pygit2.Tag)
        return TagObject(str(reference.target), ref.removeprefix("refs/tags/")) if is_annotated else None

    def _contains(self, mirror: Path, ancestor: str, descendant: str) -> bool:
        if not (is_object_id(ancestor) and is_object_id(descendant)):
            return False
        if self._commit(mirror, ancestor) is None:
            return False  # the mirror has every commit that `descendant` contains
        try:
            return ancestor == descendant or _open(mirror).descendant_of(descendant, ancestor)
        except (KeyError, ValueError, pygit2.GitError) as fault:
            raise RepositoryUnavailable(f"the commits of {descendant} cannot be read: {fault}") from None

    def _remote(self, mirror: Path, repository: str, *arguments: str) -> str:
        token = self._token(repository)
        out = self._git.read(mirror, *arguments, more=_credential(token) if token else None)
        return out.decode(errors="replace")


def _open(mirror: Path) -> pygit2.Repository:
    """Open the mirror in this process, for frequent questions: starting git costs more than the answer."""
    return pygit2.Repository(str(mirror), RepositoryOpenFlag.BARE)


def _read_beside(url: str, ref: str) -> str | None:
    """Peel `ref` of a bare repository on this machine. None if anything about it is odd: then git must answer.

    Odd is another owner, whom git refuses (git-config(1), safe.directory), a `%`, which git decodes, or a missing ref.
    """
    folder = url.removeprefix("file://")
    if not folder.startswith("/") or "%" in folder:
        return None
    try:
        if os.stat(folder).st_uid != os.geteuid():
            return None
        reference = pygit2.Repository(folder, _EXACTLY).references.get(ref)
        return str(reference.peel(pygit2.Commit).id) if reference is not None else None
    except (OSError, KeyError, ValueError, pygit2.GitError):
        return None


def _tracking(ref: str) -> str:
    return f"refs/tidegate/{ref.removeprefix('refs/')}"


def _check_ref(ref: str) -> None:
    """Refuse every name that git-check-ref-format(1) refuses, before git sees it."""
    if not _SAFE_REF.match(ref):
        raise UnknownCommit(f"{ref[:200]!r} is not a branch or tag name")


def _credential(token: str) -> dict[str, str]:
    """Give the forge's token as the user name of Basic authentication, which every Gogs version accepts."""
    basic = base64.b64encode(f"{token}:".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold an exclusive lock between processes. It ends with the process, so nothing stays locked."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
