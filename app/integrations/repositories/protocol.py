"""The protocol of repositories: commits, authors, changes, signatures, files. All calls are slow: never in a transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from app.domain.change import Changes
from app.domain.signature import CommitKey, SignedObject

COMMITS_LISTED = 10_000
COMMITS_VERIFIED = 1_000


@dataclass(frozen=True, slots=True)
class CommitAuthor:
    """The author and the committer of a commit, as git records them (forgeable: evidence, not identity).

    `is_new` is false for a commit that stands in a list only because there is no new one.
    """

    sha: str
    author_email: str
    committer_email: str
    parents: tuple[str, ...] = ()
    is_new: bool = True


class Upkeep(StrEnum):
    """The result of the upkeep of a mirror."""

    DONE = "done"
    NOT_DUE = "not due"
    BUSY = "busy"


class CommitSource(Protocol):
    """A repository at a forge, seen through a local bare mirror.

    Every method raises RepositoryUnavailable (try again), UnknownCommit or ContentTooLarge (a new try does not help).
    """

    def fetch(self, repository: str, ref: str, object_id: str | None) -> str:
        """Bring `ref` (full name) of `repository` (`FORGE:OWNER/NAME`) up to date; return the commit to deploy.

        That is `object_id` peeled to its commit, or the peeled ref itself if `object_id` is None. Both the ref's tip and
        `object_id` are in the mirror afterwards.
        """
        ...

    def head(self, repository: str, ref: str) -> str | None:
        """Ask the forge for the commit that `ref` stands on now (None: ref gone); it is in the mirror afterwards."""
        ...

    def authors(self, repository: str, known: Sequence[str], sha: str) -> list[CommitAuthor]:
        """List the commits of `sha` that none of `known` contains, newest first; each comes before its parents.

        Ids that the mirror does not have are left out of `known`. No other branch or tag makes a commit known. The list is
        never empty: if no commit is new, it has `sha` itself, marked as not new.

        It has at most one entry beyond COMMITS_LISTED, which tells that there are more.
        """
        ...

    def changes(self, repository: str, bases: Sequence[str | None], sha: str, *, known: Sequence[str] | None = None) -> Changes:
        """Read the files that differ between `sha` and any of `bases`, their new lines, and the messages of the new commits.

        A base that is None, or not in the mirror, is empty: everything is new against it. A line is new if it is new against at
        least one base. New commits are those that `authors` lists for `known` (None: for each base). Bounds: domain/change.py.
        If one is met, the answer is not whole, and says so.
        """
        ...

    def is_ancestor(self, repository: str, ancestor: str, descendant: str) -> bool:
        """Tell whether `descendant` contains `ancestor` (equal counts); both must be in the mirror."""
        ...

    def signatures(
        self, repository: str, *, commits: Sequence[str], tag_ref: str | None, keys: Sequence[CommitKey]
    ) -> list[SignedObject]:
        """Verify the signatures of `commits`, and of the annotated tag `tag_ref` (`refs/tags/…`), against `keys` alone.

        Only the first COMMITS_VERIFIED are verified: if there are more, the answer is not whole. The order is that of `commits`,
        with the tag last; a lightweight tag adds nothing. All must be in the mirror.
        """
        ...

    def export(self, repository: str, sha: str, destination: Path) -> None:
        """Write the files of commit `sha` into the new, empty folder `destination`, byte for byte as the commit holds them.

        Also raises UnsafeContent if the commit holds a path that must not be written.
        """
        ...

    def maintain(self, repository: str, now: datetime, keep: Callable[[], Sequence[str]]) -> Upkeep:
        """Drop what the forge no longer has and the commits of `keep` do not need; repack. Once a day, beside no other use."""
        ...
