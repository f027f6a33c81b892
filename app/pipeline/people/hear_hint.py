"""Take an identity source's notice that something changed there: keep it once, and have the source read again.

The content of a notice is never believed: it only tells what to read. So a stolen secret can cause a reading, and nothing else.
"""

from __future__ import annotations

import hmac

from app.domain.errors import BadSignature, NotFound
from app.pipeline.ports.services import Services, SourceHooks


def hear_hint(services: Services, source: str, authorization: str, body: bytes) -> int:
    """Keep the events of a notice whose `Authorization` header is the source's secret; return how many were new.

    Raises NotFound (no such source, or it sends no notices), BadSignature, BadRequest or SecretUnavailable.
    """
    notices = hooks_of(services, source)
    if not is_authentic(authorization, notices.secret()):
        raise BadSignature("the Authorization header is missing or not the secret of this source")
    events = [event for event in notices.parse(body) if event.hints]
    now = services.clock.now()
    with services.store.unit() as unit:
        new = sum(unit.hints.keep(source, event.id, event.hints, now) for event in events)
    if new:
        services.wakes.sync(source)
    return new


def hooks_of(services: Services, source: str) -> SourceHooks:
    """Return how a source sends notices; raises NotFound if it sends none."""
    binding = services.guard().sources.get(source)
    if binding is None or binding.notices is None:
        raise NotFound(f"there is no identity source {source} that sends notices")
    return binding.notices


def is_authentic(header: str, secret: bytes) -> bool:
    """Compare in constant time; an empty secret fits nothing. Okta and EventBridge do not sign: the header is the only proof."""
    try:
        return bool(secret) and hmac.compare_digest(header.encode("latin-1"), secret)  # as WSGI passes headers on (PEP 3333)
    except UnicodeEncodeError:
        return False
