"""Refuse deliveries that come far too often from one source, without refusing other sources (ADR 7).

After the proof there are two limits: one for the same body, one for its repository. The body's limit comes first. So an
attacker who repeats a captured delivery uses up that body's share, not its repository's. The secret that fitted is a part of
the repository's key, so deliveries under another repository's secret do not use up its share.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from app.domain.errors import RateLimited
from app.domain.event import Event
from app.domain.rate import Buckets
from app.integrations.forges.protocol import VerifiedPayload

SAME_BODY_RATE = 0.1
SAME_BODY_BURST = 10


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """The counts that one receiver keeps of its sources."""

    bodies: Buckets
    repositories: Buckets

    @classmethod
    def of(cls, rate: float, burst: int) -> DeliveryLimits:
        """Make the limits from the settings."""
        return cls(Buckets(SAME_BODY_RATE, SAME_BODY_BURST), Buckets(rate, burst))

    def check(self, payload: VerifiedPayload, event: Event | None, now: float) -> None:
        """Count a proven delivery; raises RateLimited."""
        digest = hashlib.blake2b(payload.json, digest_size=16).digest()
        if wait := self.bodies.take((payload.forge, digest), now):
            raise RateLimited("the same delivery has come too often", retry_after=wait)
        source = (payload.forge, payload.secret, event.repository.id if event else None)
        if wait := self.repositories.take(source, now):
            raise RateLimited("this repository exceeds its rate limit of deliveries", retry_after=wait)
