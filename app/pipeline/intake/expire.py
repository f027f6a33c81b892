"""Delete what has ended and is kept for a time only. Beat calls it; nothing waits for it."""

from __future__ import annotations

from datetime import timedelta

from app.pipeline.ports.services import Services

NOTICES_KEPT = timedelta(days=7)
HINTS_KEPT = timedelta(days=14)  # longer than a source sends an event again


def expire(services: Services) -> None:
    """Delete what has ended long enough ago: sessions, hints that were followed, notices. Raises StoreUnavailable."""
    now = services.clock.now()
    with services.store.unit() as unit:
        unit.sessions.expire(now)
        unit.hints.expire(now - HINTS_KEPT)
        unit.notices.expire(now - NOTICES_KEPT)
