"""A push that is asked about before the repository takes it: what it would change, and what the forge's git says of that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.domain.change import Changes
from app.domain.environment import TAGS
from app.domain.event import Account, Repository, is_zero


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One ref that is to be set from `old` to `new` (git's null id: it is not there yet, or any more).

    What the instance's git says of that: `commit` is what the tag's own object `new` points to; `forced` whether `old` is left
    behind; the e-mails of what is new, the paths that it changes, and whether those lists are whole; `changes` for content
    inspection. What it does not say is None or not whole: unknown.
    """

    ref: str
    old: str
    new: str
    commit: str | None = None
    forced: bool | None = None
    emails: tuple[str, ...] = ()
    emails_known: bool = False
    paths: tuple[str, ...] = ()
    paths_known: bool = False
    changes: Changes | None = None

    @property
    def event(self) -> str:
        """`create`, `delete` or `push`."""
        if is_zero(self.new):
            return "delete"
        return "create" if is_zero(self.old) else "push"

    @property
    def sha(self) -> str:
        """The commit, where it is known to be one, else the object."""
        return self.commit or self.new

    @property
    def is_forced(self) -> bool:
        """Tell whether commits are left behind, or may be: a deleted ref leaves all, and a tag must not move."""
        match self.event:
            case "create":
                return False
            case "delete":
                return True
            case _:
                return self.ref.startswith(TAGS) or self.forced is not False


@dataclass(frozen=True, slots=True)
class PushRequest:
    """A push: who, by the account that the forge has let in, to which repository, and all refs that are to be changed."""

    repository: Repository
    account: Account
    updates: tuple[RefUpdate, ...]


@dataclass(frozen=True, slots=True)
class CheckedPush:
    """A ref that was allowed to be set to a commit, before it was."""

    forge: str
    repository_id: int
    ref: str
    sha: str
    decision_id: str
    decided_at: datetime
