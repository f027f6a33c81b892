"""A push that is checked before the repository takes it, and what is known of how commits came and which were accepted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from app.domain.change import Changes
from app.domain.environment import TAGS
from app.domain.event import Account, Repository, is_zero


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One ref that is to be set from `old` to `new` (git's null id: the ref does not exist before, or after).

    The other fields come from the forge's git; None or not whole means unknown. `commit` is the commit behind a tag object
    `new`. `forced` tells whether `old` is left behind. `emails` are those of new commits, and `paths` the changed ones;
    `emails_known` and `paths_known` tell whether these lists are whole. `changes` are for content inspection. `bases` are the
    commits that the new ones were told apart by (None: the check did not say). `commit_of` names a commit for each e-mail.
    `committers` are those of `emails` that stand only as a committer's (none, if the check did not tell them apart).
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
    bases: tuple[str, ...] | None = None
    commit_of: Mapping[str, str] = field(default_factory=dict)
    committers: frozenset[str] = frozenset()

    @property
    def event(self) -> str:
        """`create`, `delete` or `push`."""
        if is_zero(self.new):
            return "delete"
        return "create" if is_zero(self.old) else "push"

    @property
    def sha(self) -> str:
        """The commit if it is known, else the object."""
        return self.commit or self.new

    @property
    def compared_with(self) -> tuple[str, ...] | None:
        """The commits that the check compared with, for `CheckedPush.bases`.

        The commit itself, if nothing was looked at, or perhaps not all. None if at least the commit itself was.
        """
        if self.bases is not None:
            return self.bases
        if self.event == "push" and self.forced is False and self.emails_known:
            return (self.old,)
        return None if self.emails and self.emails_known else (self.sha,)

    @property
    def is_forced(self) -> bool:
        """Tell whether commits are left behind, or may be. A deleted ref leaves all behind, and a tag must not move."""
        match self.event:
            case "create":
                return False
            case "delete":
                return True
            case _:
                return self.ref.startswith(TAGS) or self.forced is not False


@dataclass(frozen=True, slots=True)
class PushRequest:
    """A push: the account that the forge let in, the repository, and all refs that are to be changed.

    `check_version` is that of the installed check that asks (None: something else asks).
    """

    repository: Repository
    account: Account
    updates: tuple[RefUpdate, ...]
    check_version: int | None = None


@dataclass(frozen=True, slots=True)
class CheckedPush:
    """A permission, given before a push, to set a ref from object `old` to commit `sha`.

    `account` (`FORGE:ID`) is the one that the forge let in; an empty text means that an earlier release did not keep it.
    `bases` are the commits that the check compared with: it looked at all commits of `sha` that none of them contains. None
    means that this is not known, so the check vouches for `sha` alone.
    """

    forge: str
    repository_id: int
    ref: str
    sha: str
    decision_id: str
    decided_at: datetime
    old: str = ""
    account: str = ""
    bases: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Ground:
    """What all facts about a deployment are measured against.

    `release` is the (ref, commit) of the environment's last release of this repository. `baselines` are commits whose history
    was accepted unseen. `former` are the commits on which the ref is known to have stood: the last one that was planned from
    it, the last one that was released from it, and of a tag any other.
    """

    release: tuple[str, str] | None = None
    baselines: tuple[str, ...] = ()
    former: tuple[str, ...] = ()

    @property
    def accepted(self) -> tuple[str, ...]:
        """The commits whose history the environment has accepted: its release, and its baselines."""
        release = () if self.release is None else (self.release[1],)
        return tuple(dict.fromkeys((*release, *self.baselines)))


class ArrivalKind(StrEnum):
    """The ways in which a commit is known to have come. A tag or a release in the forge's pages need not bring any."""

    PUSH = "push"
    TAG = "tag"
    CHECK = "check"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A ref that was set to `sha` by `account`, or that a check before the push allowed to be set.

    `ref` is told of a check only. `bases` are the commits that it was compared with: it stands for what is in `sha` and in none
    of them. None: this is not known. The account is None if it was not kept.
    """

    kind: ArrivalKind
    ref: str
    sha: str
    bases: tuple[str, ...] | None
    account: Account | None


@dataclass(frozen=True, slots=True)
class Baseline:
    """A commit whose history is accepted unseen for one environment, with the person who accepted it, and why."""

    environment: str
    repository: str
    sha: str
    accepted_by: str
    accepted_at: datetime
    reason: str
