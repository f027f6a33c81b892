"""Delete ended rows that are kept for a limited time. Beat calls it; nothing waits for it."""

from __future__ import annotations

from datetime import timedelta

from app.pipeline.ports.services import Services

NOTICES_KEPT = timedelta(days=7)
HINTS_KEPT = timedelta(days=14)  # longer than a source repeats an event


def expire(services: Services) -> None:
    """Delete old sessions, old hints that were followed and old notices. Raises StoreUnavailable."""
    now = services.clock.now()
    with services.store.unit() as unit:
        unit.sessions.expire(now)
        unit.hints.expire(now - HINTS_KEPT)
        unit.notices.expire(now - NOTICES_KEPT)
