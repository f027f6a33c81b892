"""Delete what is kept for a limited time: ended rows, and bodies of old deliveries. Beat calls it; nothing waits for it."""

from __future__ import annotations

from datetime import timedelta

from app.domain.audit import AuditAction
from app.domain.event import GATE_ACCOUNT
from app.pipeline.ports.services import Services

NOTICES_KEPT = timedelta(days=7)
HINTS_KEPT = timedelta(days=14)  # longer than a source repeats an event
BATCH, BATCHES = 10, 50  # bodies of one statement, which reads them; statements of one run


def expire(services: Services) -> None:
    """Delete old sessions, old hints that were followed and old notices, and empty old bodies. Raises StoreUnavailable."""
    now = services.clock.now()
    with services.store.unit() as unit:
        unit.sessions.expire(now)
        unit.hints.expire(now - HINTS_KEPT)
        unit.notices.expire(now - NOTICES_KEPT)
    if services.limits.keep_bodies:
        _empty_bodies(services)


def _empty_bodies(services: Services) -> None:
    """Empty some of the old bodies, the oldest first; the next run goes on."""
    before = services.clock.now() - timedelta(days=services.limits.keep_bodies)
    with services.store.unit() as unit:
        emptied = 0
        for _ in range(BATCHES):
            emptied += (more := unit.deliveries.empty_bodies(before, BATCH))
            if more < BATCH:
                break
        if emptied:
            detail = {"count": emptied, "received_before": before.isoformat()}
            unit.audit.append([services.recorder.entry(AuditAction.DELIVERY_EMPTIED, detail, actor=GATE_ACCOUNT.key)])
