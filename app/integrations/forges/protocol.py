"""What every forge adapter does: prove a delivery's signature and say what it means (pure, no network), and who owns a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.domain.event import Account, Event, Ignored


@dataclass(frozen=True, slots=True)
class UnverifiedDelivery:
    """A request as it came in. Header names are lower case; nothing in here is proven."""

    forge: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class VerifiedPayload:
    """JSON bytes whose signature fitted, with the (unsigned) delivery id and event header beside them.

    `secret` tells which of the secrets fitted, by the beginning of its digest.
    """

    forge: str
    json: bytes
    delivery_id: str
    event_header: str
    secret: str = ""


class Forge(Protocol):
    """One kind of forge."""

    def verify(self, unverified: UnverifiedDelivery, secrets: list[bytes]) -> VerifiedPayload:
        """Prove the signature with any of `secrets` (newest first), in constant time.

        Raises BadSignature (missing, empty, wrong, or several that disagree), UnsupportedContent (content type) and
        BadDelivery (no delivery id, unreadable form).
        """
        ...

    def parse(self, payload: VerifiedPayload) -> Event | Ignored:
        """Say what the payload means. Raises BadDelivery, and nothing else, for anything it cannot understand."""
        ...


class AccountProof(Protocol):
    """Asks a forge whose a personal access token is."""

    def account_of(self, token: str) -> Account:
        """Return the account that the token belongs to.

        Raises BadRequest (the forge does not take the token) or SourceUnavailable (the forge cannot be asked now).
        """
        ...
