"""What the pipeline asks of the access map, and what a system that knows people answers when it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from app.domain.access import Group, Identity
from app.domain.event import Account
from app.domain.principal import Principal


class AccessMap(Protocol):
    """What all configured sources together say, as of this moment. Every method may raise StoreUnavailable."""

    def principal_of(self, account: Account) -> Principal | None:
        """Return who is linked to this account (forge and stable id, never name or e-mail), or None."""
        ...

    def principal(self, subject: str) -> Principal | None:
        """Return the principal of this subject, or None where no source speaks of it."""
        ...

    def unknown_emails(self, emails: Collection[str]) -> list[str]:
        """List those that no active principal owns (case-insensitive), sorted. Evidence about authors, not identity."""
        ...


@dataclass(frozen=True, slots=True)
class Page:
    """Some of what a source says. `gone` and `gone_groups` are external ids that it has no longer."""

    identities: tuple[Identity, ...] = ()
    groups: tuple[Group, ...] = ()
    gone: tuple[str, ...] = ()
    gone_groups: tuple[str, ...] = ()


class HintKind(StrEnum):
    """What a hint is about."""

    IDENTITY = "identity"
    GROUP = "group"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Hint:
    """Word that something may have changed at a source: what to read again, never the change itself."""

    kind: HintKind
    external_id: str = ""


class IdentitySource(Protocol):
    """A system that is read. Every method raises SourceUnavailable where it cannot be read now, or not whole."""

    def read_all(self) -> Iterator[Page]:
        """Read everything, identities before the groups that name them; what no page names is gone."""
        ...

    def read_changes(self, since: datetime) -> Iterator[Page] | None:
        """Read what changed since then, and perhaps more; None where only the whole can be read."""
        ...

    def read_again(self, hint: Hint) -> Iterator[Page] | None:
        """Read again what a hint is about; None where only the whole can be read."""
        ...
