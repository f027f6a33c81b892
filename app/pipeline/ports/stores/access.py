"""What is asked of the database about people: the rooms of a `Unit` (`line.py`) that hold the access map."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from app.domain.access import AccessChange, AccountLink, Hint, LinkedBy, Page, SourceKind, SourceState, Statement
from app.domain.event import Account
from app.domain.signature import CommitKey


class Access(Protocol):
    """The access map as it is read, inside a unit."""

    def version(self) -> int:
        """Return the number of the newest change; one that is not committed yet does not count."""
        ...

    def raise_version(self) -> None:
        """Make whoever decided by what was known until now ask again; the last write of a transaction, since it locks."""
        ...

    def links(self, account: Account) -> list[AccountLink]:
        """List for whom an account stands, and who says so."""
        ...

    def links_of(self, subjects: Collection[str] | None) -> list[AccountLink]:
        """List the accounts that stand for these principals; None: all."""
        ...

    def statements(self, subjects: Collection[str]) -> dict[str, list[Statement]]:
        """List what all sources, also those no longer configured, say of these principals."""
        ...

    def statements_of_login(self, login: str) -> dict[str, list[Statement]]:
        """List what sources say of those who have this login there (case-insensitive)."""
        ...

    def subjects(self, after: str = "", limit: int = 1000) -> list[str]:
        """List the subjects of whom any source speaks, in order, from behind `after` on."""
        ...

    def owners(self, emails: Collection[str]) -> dict[str, set[str]]:
        """Return the subjects of whom any source says that these (lower-case) e-mails are theirs."""
        ...

    def unread(self, names: Collection[str]) -> list[str]:
        """List those of these sources that were never read whole."""
        ...

    def link(self, link: AccountLink) -> bool:
        """Say for whom an account stands; False if that was already said in the same way, of whomever."""
        ...

    def link_all(self, links: Sequence[AccountLink]) -> None:
        """Say for whom accounts stand of which it is not yet said in the same way."""
        ...

    def unlink(self, account: Account, how: Collection[LinkedBy]) -> list[AccountLink]:
        """Take back what was said of an account in these ways; return it."""
        ...


class Statements(Protocol):
    """What sources say, as it is written down, inside a unit. Changes are returned for the audit log."""

    def open(self, source: str, kind: SourceKind) -> SourceState:
        """Make the source known, lock it until the unit ends, and return how far it was heard."""
        ...

    def say(self, source: str, page: Page, now: datetime) -> list[AccessChange]:
        """Write down what `source` says in this page; return what that changed."""
        ...

    def forget(self, source: str, gone: Collection[str], gone_groups: Collection[str], *, now: datetime) -> list[AccessChange]:
        """Note that the source has these no longer: people stay as inactive, so that no other source keeps them active."""
        ...

    def withdraw(self, source: str, external_ids: Collection[str]) -> list[AccessChange]:
        """Delete what the source said of these: it says nothing any more, neither active nor inactive."""
        ...

    def belong(self, source: str, external_id: str, groups: Collection[str], *, now: datetime) -> list[AccessChange]:
        """Say that one identity is in exactly these groups; who else is in them stays. A group's id is its name."""
        ...

    def known(self, source: str) -> tuple[set[str], set[str]]:
        """Return the external ids of the identities (not gone) and groups that the source has, as far as it was heard."""
        ...

    def states(self) -> list[SourceState]:
        """List all sources that were ever heard."""
        ...

    def digest(self, source: str) -> str | None:
        """Return the digest of what was taken over as a whole (a file)."""
        ...

    def taken_over(self, source: str, digest: str, now: datetime) -> None:
        """Note that a file of this digest was taken over."""
        ...

    def lease(self, source: str, holder: str, now: datetime, seconds: float) -> bool:
        """Have `holder` be the only one to read this source for a while; False if somebody is at it."""
        ...

    def extend(self, source: str, holder: str, now: datetime, seconds: float) -> bool:
        """Keep the lease for that much longer, while the reading goes on; False if it was lost to another reader."""
        ...

    def heard(self, source: str, at: datetime, *, whole: bool) -> None:
        """Note that all that the source says was known at this time."""
        ...

    def release(self, source: str, holder: str, fault: str | None) -> None:
        """End the lease, and note why the source could not be read, if it could not; not if the lease was lost."""
        ...

    def confirm(self, source: str, external_id: str, at: datetime) -> None:
        """Note that the source has just vouched for this one identity (a sign-in)."""
        ...


class Hints(Protocol):
    """Word from sources that something changed, inside a unit."""

    def keep(self, source: str, event_id: str, hints: Sequence[Hint], now: datetime) -> bool:
        """Keep an event's hints once by its id; False if it was known."""
        ...

    def open(self, source: str, limit: int) -> dict[str, list[Hint]]:
        """List the oldest events whose hints were not followed yet, by id."""
        ...

    def sources(self) -> list[str]:
        """List the sources that have such events."""
        ...

    def close(self, source: str, event_ids: Collection[str], now: datetime) -> None:
        """Note that these were followed."""
        ...

    def expire(self, before: datetime) -> int:
        """Delete what was followed before then; return how many."""
        ...


class CommitKeys(Protocol):
    """Public keys that stand for principals, inside a unit."""

    def add(self, key: CommitKey, by: str, at: datetime) -> bool:
        """Keep a key; False if one of this fingerprint is known, also a revoked one."""
        ...

    def all(self, subject: str | None = None) -> list[CommitKey]:
        """List all keys, or one principal's; oldest first."""
        ...

    def revoke(self, fingerprint: str, by: str, at: datetime) -> CommitKey | None:
        """Revoke a key; return it, or None where no valid one has this fingerprint."""
        ...
