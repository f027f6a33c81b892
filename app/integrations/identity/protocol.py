"""What every identity source answers: who stands behind an account, and whose is an e-mail."""

from __future__ import annotations

from typing import Protocol

from app.domain.event import Account
from app.domain.principal import Principal


class IdentitySource(Protocol):
    """A source of the access map."""

    def principal_of(self, account: Account) -> Principal | None:
        """Return who is linked to this account (forge and stable id, never name or e-mail), or None."""
        ...

    def knows_email(self, email: str) -> bool:
        """Tell whether an active principal owns this e-mail (case-insensitive). Evidence about authors, not identity."""
        ...
