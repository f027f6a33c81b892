"""The ports to the access map: the rooms of a `Unit` (`unit.py`) that hold it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Protocol

from app.domain.access import AccessChange, AccountLink, Hint, LinkedBy, Page, SourceKind, SourceState, Statement
from app.domain.event import Account
from app.domain.signature import CommitKey


class Access(Protocol):
    """The access map, as decisions read it, inside a unit."""

    def version(self) -> int:
        """Return the number of the newest committed change."""
        ...

    def raise_version(self) -> None:
        """Raise the version, so that earlier decisions are made again. It locks, so call it last in a transaction."""
        ...

    def links(self, account: Account) -> list[AccountLink]:
        """List the links of an account, each with the principal and the way in which it is known."""
        ...

    def links_of(self, subjects: Collection[str] | None) -> list[AccountLink]:
        """List the links of these principals' accounts; None: all links."""
        ...

    def statements(self, subjects: Collection[str]) -> dict[str, list[Statement]]:
        """Return the statements of all sources about these principals, also of sources no longer configured."""
        ...

    def statements_of_login(self, login: str) -> dict[str, list[Statement]]:
        """Return the statements about people who have this login at the source (case-insensitive)."""
        ...

    def subjects(self, after: str = "", limit: int = 1000) -> list[str]:
        """List in order the subjects that any source has a statement about, starting after `after`."""
        ...

    def owners(self, emails: Collection[str]) -> dict[str, set[str]]:
        """Return the subjects that own these (lower-case) e-mails by the word of any source."""
        ...

    def unread(self, names: Collection[str]) -> list[str]:
        """List those of the named sources that were never read completely."""
        ...

    def link(self, link: AccountLink) -> bool:
        """Store a link; False if the account already has one of the same kind, to any principal."""
        ...

    def link_all(self, links: Sequence[AccountLink]) -> None:
        """Store these links; none of the accounts may have one of the same kind yet."""
        ...

    def unlink(self, account: Account, how: Collection[LinkedBy]) -> list[AccountLink]:
        """Delete the account's links of these kinds; return them."""
        ...


class Statements(Protocol):
    """The stored statements of sources, inside a unit. Writes return their changes for the audit log."""

    def open(self, source: str, kind: SourceKind) -> SourceState:
        """Create the source if it is new, lock it until the unit ends, and return how far it was read."""
        ...

    def say(self, source: str, page: Page, now: datetime) -> list[AccessChange]:
        """Store the statements of this page of `source`; return the changes."""
        ...

    def forget(self, source: str, gone: Collection[str], gone_groups: Collection[str], *, now: datetime) -> list[AccessChange]:
        """Note that the source no longer has these. People stay as inactive, so that no other source keeps them active."""
        ...

    def withdraw(self, source: str, external_ids: Collection[str]) -> list[AccessChange]:
        """Delete the source's statements about these; it then says neither active nor inactive."""
        ...

    def belong(self, source: str, external_id: str, groups: Collection[str], *, now: datetime) -> list[AccessChange]:
        """Put one identity in exactly these groups; other members stay. A group's id is its name."""
        ...

    def known(self, source: str) -> tuple[set[str], set[str]]:
        """Return the external ids of the source's identities (not gone) and groups, as far as it was read."""
        ...

    def states(self) -> list[SourceState]:
        """List all sources that were ever read."""
        ...

    def digest(self, source: str) -> str | None:
        """Return the digest of the file that was taken over as a whole."""
        ...

    def taken_over(self, source: str, digest: str, now: datetime) -> None:
        """Note that a file of this digest was taken over."""
        ...

    def lease(self, source: str, holder: str, now: datetime, seconds: float) -> bool:
        """Lease this source to `holder`, its only reader for a while; False if another reader has the lease."""
        ...

    def extend(self, source: str, holder: str, now: datetime, seconds: float) -> bool:
        """Extend the lease while the reading goes on; False if it was lost to another reader."""
        ...

    def heard(self, source: str, at: datetime, *, whole: bool) -> None:
        """Note that everything the source says was known at this time."""
        ...

    def release(self, source: str, holder: str, fault: str | None) -> None:
        """End the lease, and note the fault if the source could not be read. Does nothing if the lease was lost."""
        ...

    def confirm(self, source: str, external_id: str, at: datetime) -> None:
        """Note that the source has just vouched for this one identity (a sign-in)."""
        ...


class Hints(Protocol):
    """Word from sources that something changed, inside a unit."""

    def keep(self, source: str, event_id: str, hints: Sequence[Hint], now: datetime) -> bool:
        """Store an event's hints, once for its id; False if the event was known."""
        ...

    def open(self, source: str, limit: int) -> dict[str, list[Hint]]:
        """List the oldest events whose hints were not followed yet, by id."""
        ...

    def sources(self) -> list[str]:
        """List the sources that have such events."""
        ...

    def close(self, source: str, event_ids: Collection[str], now: datetime) -> None:
        """Note that the hints of these events were followed."""
        ...

    def expire(self, before: datetime) -> int:
        """Delete events that were followed before then; return how many."""
        ...


class CommitKeys(Protocol):
    """Public keys of principals that sign commits, inside a unit."""

    def add(self, key: CommitKey, by: str, at: datetime) -> bool:
        """Store a key; False if one with this fingerprint is known, also a revoked one."""
        ...

    def all(self, subject: str | None = None) -> list[CommitKey]:
        """List all keys, or one principal's; oldest first."""
        ...

    def revoke(self, fingerprint: str, by: str, at: datetime) -> CommitKey | None:
        """Revoke a key; return it, or None if no valid one has this fingerprint."""
        ...
