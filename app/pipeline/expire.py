"""Delete what has ended by itself and counts no longer. Beat calls it; nothing waits for it."""

from __future__ import annotations

from app.pipeline.services import Services


def expire_sessions(services: Services) -> int:
    """Delete the sessions that have ended; return how many. Raises StoreUnavailable."""
    with services.store.unit() as unit:
        return unit.sessions.expire(services.clock.now())
