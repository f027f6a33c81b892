"""The new commits of a history, read in this process: starting git costs more than the answer. Used by `mirror.py`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import pygit2
from pygit2.enums import SortMode

from app.domain.errors import RepositoryUnavailable
from app.integrations.repositories.protocol import COMMITS_LISTED, CommitAuthor

LONGEST_EMAIL = 320  # RFC 3696, erratum 1690, says 254; some more is kept, to be shown


def new_commits(mirror: pygit2.Repository, known: Sequence[str], sha: str) -> list[CommitAuthor]:
    """List the commits of `sha` that none of `known` contains, children before parents; `sha` as not new if there are none.

    Raises RepositoryUnavailable if a commit cannot be read.
    """
    try:
        walk = mirror.walk(sha, SortMode.TOPOLOGICAL | SortMode.TIME)
        for commit in known:
            walk.hide(commit)
        listed = [_author(commit) for commit in islice(walk, COMMITS_LISTED + 1)]
        return listed or [_author(mirror[sha].peel(pygit2.Commit), is_new=False)]
    except (KeyError, ValueError, pygit2.GitError) as fault:
        raise RepositoryUnavailable(f"the commits of {sha} cannot be read: {fault}") from None


def _author(commit: pygit2.Commit, *, is_new: bool = True) -> CommitAuthor:
    parents = tuple(str(parent) for parent in commit.parent_ids)
    return CommitAuthor(str(commit.id), _email(commit.author), _email(commit.committer), parents, is_new)


def _email(who: pygit2.Signature) -> str:
    """Return the e-mail by its bytes. Bytes that are not UTF-8 are marked."""
    email = bytes(who.raw_email or b"").decode(errors="replace")
    return email if len(email) <= LONGEST_EMAIL else f"{email[:LONGEST_EMAIL]}…"  # no principal has such an e-mail
