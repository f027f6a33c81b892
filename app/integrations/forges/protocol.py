"""The protocols of forges: verify and parse deliveries (pure, no network), and find the owner of a token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from app.domain.event import Account, Event, Ignored


@dataclass(frozen=True, slots=True)
class UnverifiedDelivery:
    """A request as it came in. Header names are in lower case; nothing in it is proven."""

    forge: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class VerifiedPayload:
    """JSON bytes with a valid signature, and the delivery id and event header, which are not signed.

    `secret` names the secret that made the signature, by the beginning of its digest. `kind` is that of the forge.
    """

    forge: str
    json: bytes
    delivery_id: str
    event_header: str
    secret: str = ""
    kind: str = "gogs"


class Forge(Protocol):
    """One kind of forge."""

    def verify(self, unverified: UnverifiedDelivery, secrets: list[bytes]) -> VerifiedPayload:
        """Verify the signature with any of `secrets` (newest first), in constant time.

        Raises BadSignature (missing, empty, wrong, or several that disagree), UnsupportedContent (content type) and
        BadDelivery (no delivery id, unreadable form).
        """
        ...

    def parse(self, payload: VerifiedPayload) -> Event | Ignored:
        """Return the meaning of the payload. Raises BadDelivery, and nothing else, if it cannot be understood."""
        ...

    def repository_of(self, payload: VerifiedPayload) -> str | None:
        """Return the repository (`OWNER/NAME`) that the payload names, whatever its event is; None if it names none."""
        ...


class AccountProof(Protocol):
    """Asks a forge for the owner of a personal access token."""

    def account_of(self, token: str) -> Account:
        """Return the account that the token belongs to.

        Raises BadRequest (the forge does not accept the token) or SourceUnavailable (the forge cannot be asked now).
        """
        ...
