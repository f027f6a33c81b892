"""Delete what has ended and is kept for a time only. Beat calls it; nothing waits for it."""

from __future__ import annotations

from datetime import timedelta

from app.pipeline.services import Services

HINTS_KEPT = timedelta(days=14)  # longer than a source sends an event again


def expire(services: Services) -> None:
    """Delete the sessions that have ended and the hints that were followed long ago. Raises StoreUnavailable."""
    now = services.clock.now()
    with services.store.unit() as unit:
        unit.sessions.expire(now)
        unit.hints.expire(now - HINTS_KEPT)
