"""Delete what is kept for a time only: hints that were followed, sessions that have ended."""

from __future__ import annotations

from datetime import timedelta

from app.pipeline.services import Services

HINTS_KEPT = timedelta(days=14)  # longer than a source sends an event again


def expire(services: Services) -> None:
    """Delete all that has had its time."""
    now = services.clock.now()
    with services.store.unit() as unit:
        unit.hints.expire(now - HINTS_KEPT)
