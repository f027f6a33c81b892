"""One webhook request, proven to come from a configured forge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.event import Event


class DeliveryState(StrEnum):
    """Where a delivery stands in the inbox."""

    PENDING = "pending"
    PLANNED = "planned"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery with a valid signature. `body` is the exact bytes; `event` is None if nothing follows from the delivery.

    `body_digest` is the SHA-256 of a body that is no longer kept (`keep_bodies`); `body` is empty then.
    """

    id: str
    forge: str
    forge_delivery_id: str
    event_header: str
    body: bytes
    event: Event | None
    reason: str | None
    received_at: datetime
    state: DeliveryState
    position: int = 0
    body_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """The outcome of receiving a delivery."""

    delivery_id: str
    is_duplicate: bool
    reason: str | None
