"""What the pipeline asks of the access map, and what a system that knows people answers when it is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Protocol

from app.domain.access import Hint, Page
from app.domain.event import Account
from app.domain.principal import Principal
from app.integrations.identity.oidc import VerifiedToken as VerifiedToken


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


class TokenValidator(Protocol):
    """Checks tokens of one issuer, or of all that are configured."""

    def validate(self, token: str) -> VerifiedToken:
        """Return what the token proves; raises BadToken or IssuerUnavailable."""
        ...


class LoginValidator(Protocol):
    """Checks the ID tokens that a sign-in with one issuer brings."""

    def validate(self, token: str, *, nonce: str | None = None) -> VerifiedToken:
        """Return what the token proves, if it holds this nonce; raises BadToken or IssuerUnavailable."""
        ...
