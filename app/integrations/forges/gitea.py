"""Gitea: verify and parse its webhooks."""

from __future__ import annotations

from app.domain.event import Event, Ignored
from app.integrations.forges.named_repository import repository_of
from app.integrations.forges.payload import parse
from app.integrations.forges.protocol import UnverifiedDelivery, VerifiedPayload
from app.integrations.forges.signature import verify


class Gitea:
    """Deliveries of Gitea (protocol: Forge)."""

    def verify(self, unverified: UnverifiedDelivery, secrets: list[bytes]) -> VerifiedPayload:
        """Verify the signature; raises BadSignature, UnsupportedContent or BadDelivery."""
        return verify(unverified, secrets, "gitea")

    def parse(self, payload: VerifiedPayload) -> Event | Ignored:
        """Return the meaning of the payload; raises BadDelivery."""
        return parse(payload)

    def repository_of(self, payload: VerifiedPayload) -> str | None:
        """Return the repository that the payload names."""
        return repository_of(payload)
