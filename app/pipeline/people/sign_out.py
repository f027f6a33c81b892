"""End sessions: one's own, by signing out or from the list. An ended session is gone at once."""

from __future__ import annotations

from collections.abc import Collection

from app.domain.errors import NotFound
from app.pipeline.people.session_entries import SessionScribe
from app.pipeline.ports.services import Services


def end_sessions(services: Services, subject: str, session_ids: Collection[str], *, why: str) -> None:
    """End sessions of this principal; raises NotFound, and ends none, if one is not theirs or has ended."""
    scribe = SessionScribe.of(services.clock, services.ids)
    with services.store.unit() as unit:
        ended = unit.sessions.end(session_ids, of=subject)
        if len(ended) != len(set(session_ids)):
            raise NotFound("there is no such session of yours")
        for session in ended:
            if session.facts is not None:
                scribe.ended(unit, session.facts, why)
