"""Take one webhook request: prove it, parse it, store it. No outside call, no git, no policy. Next: `plan.py`."""

from __future__ import annotations

from concurrent.futures import Future

from app.domain.delivery import Delivery, DeliveryState, Receipt
from app.domain.errors import BadSignature, SecretUnavailable, UnknownForge, WrongSecret
from app.domain.event import Event
from app.domain.text import plain_line
from app.integrations.forges.protocol import UnverifiedDelivery, VerifiedPayload
from app.pipeline.ports.services import ForgeBinding, Services


def receive(services: Services, unverified: UnverifiedDelivery, correlation_id: str) -> Future[Receipt]:
    """Store a delivery with a valid signature, once, and wake the planner after the commit (invariants 1 and 2).

    Returns at once. The future holds the receipt once the delivery is stored, or StoreUnavailable if it cannot be.
    Raises UnknownForge, BadSignature, WrongSecret, SecretUnavailable, UnsupportedContent, BadDelivery and RateLimited; then
    nothing is stored.
    """
    binding = services.guard().forges.get(unverified.forge)
    if binding is None:
        raise UnknownForge
    payload = _prove(binding, unverified)
    parsed = binding.forge.parse(payload)
    event = parsed if isinstance(parsed, Event) else None
    _check_secret_is_good(binding, unverified, payload, event)
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


def _prove(binding: ForgeBinding, unverified: UnverifiedDelivery) -> VerifiedPayload:
    """Verify the signature with any secret of the forge and its repositories: which is good is known only from the body.

    A secret that cannot be read hides no other.
    """
    secrets: list[bytes] = []
    unread: SecretUnavailable | None = None
    for read in (binding.secrets, *binding.repository_secrets.values()):
        try:
            secrets += read()
        except SecretUnavailable as fault:
            unread = fault
    try:
        if not secrets:
            raise BadSignature(f"no secret is configured in webhook_secrets of [forges.{unverified.forge}]")
        return binding.forge.verify(unverified, secrets)
    except BadSignature as fault:
        raise unread or fault from None


def _check_secret_is_good(
    binding: ForgeBinding, unverified: UnverifiedDelivery, payload: VerifiedPayload, event: Event | None
) -> None:
    """Make sure that the secret is one of the repository that the body names; raises WrongSecret.

    A repository that has its own secrets is served by no other.
    """
    if not binding.repository_secrets:
        return
    name = event.repository.full_name if event is not None else binding.forge.repository_of(payload)
    good = binding.repository_secrets.get((name or "").casefold(), binding.secrets)
    try:
        binding.forge.verify(unverified, good())
    except BadSignature:
        raise WrongSecret(
            f"this webhook secret is not good for {plain_line(name or 'a delivery without a repository')}: "
            "use the secret that the gate has for this repository"
        ) from None


def _wake(services: Services, done: Future[Receipt]) -> None:
    if done.exception() is None and not done.result().is_duplicate:
        services.wakes.plan(done.result().delivery_id)
