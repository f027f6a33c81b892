"""Take one webhook request: prove it, parse it, store it. No outside call, no git, no policy. Next: `plan.py`."""

from __future__ import annotations

from concurrent.futures import Future

from app.domain.delivery import Delivery, DeliveryState, Receipt
from app.domain.errors import BadSignature, UnknownForge
from app.domain.event import Event
from app.integrations.forges.protocol import UnverifiedDelivery
from app.pipeline.ports.services import Services


def receive(services: Services, unverified: UnverifiedDelivery, correlation_id: str) -> Future[Receipt]:
    """Store a delivery with a valid signature, once, and wake the planner after the commit (invariants 1 and 2).

    Returns at once. The future holds the receipt once the delivery is stored, or StoreUnavailable if it cannot be.
    Raises UnknownForge, BadSignature, UnsupportedContent, BadDelivery and RateLimited; then nothing is stored.
    """
    binding = services.guard().forges.get(unverified.forge)
    if binding is None:
        raise UnknownForge
    secrets = binding.secrets()
    if not secrets:
        raise BadSignature(f"no secret is configured in webhook_secrets of [forges.{unverified.forge}]")
    payload = binding.forge.verify(unverified, secrets)
    parsed = binding.forge.parse(payload)
    event = parsed if isinstance(parsed, Event) else None
    reason = None if isinstance(parsed, Event) else parsed.reason
    services.delivery_limits.check(payload, event, services.clock.now().timestamp())
    receipt = services.inbox.put(
        Delivery(
            id=correlation_id,
            forge=unverified.forge,
            forge_delivery_id=payload.delivery_id,
            event_header=payload.event_header,
            body=unverified.body,
            event=event,
            reason=reason,
            received_at=services.clock.now(),
            state=DeliveryState.PENDING if event else DeliveryState.IGNORED,
        )
    )
    if event is not None:
        receipt.add_done_callback(lambda done: _wake(services, done))
    return receipt


def _wake(services: Services, done: Future[Receipt]) -> None:
    if done.exception() is None and not done.result().is_duplicate:
        services.wakes.plan(done.result().delivery_id)
