"""End sessions: one's own, by signing out or from the list, or all of a person. An ended session is gone at once.

Signing out takes nothing back that was asked for in the session. A session that is no longer trusted is also revoked: then no
override or rollback that was asked for in it goes out.
"""

from __future__ import annotations

from collections.abc import Collection

from app.domain.access import why_no_principal
from app.domain.audit import AuditAction
from app.domain.errors import NotFound
from app.domain.event import Account
from app.pipeline.people.session_entries import SessionScribe
from app.pipeline.ports.services import Services


def end_sessions(services: Services, subject: str, session_ids: Collection[str], *, why: str, revoke: bool = False) -> None:
    """End sessions of this principal, and with `revoke` take the trust from what was asked for in them.

    Raises NotFound, and ends none, if one is not theirs or has ended.
    """
    scribe = SessionScribe.of(services.clock, services.ids)
    with services.store.unit() as unit:
        ended = unit.sessions.end(session_ids, of=subject)
        if revoke:
            unit.sessions.revoke(subject, services.clock.now(), session_ids)
        if len(ended) != len(set(session_ids)):
            raise NotFound("there is no such session of yours")
        for session in ended:
            if session.facts is not None:
                scribe.ended(unit, session.facts, why)


def end_all_sessions(services: Services, subject: str, by: Account) -> int:
    """End all sessions of this principal in the name of the administrator `by`, and revoke them; return their number.

    What was asked for in sessions that ended before is revoked, too. Raises NotFound if nobody of this name is known.
    """
    scribe, now = SessionScribe.of(services.clock, services.ids), services.clock.now()
    with services.store.unit() as unit:
        live = [stored.id for stored in unit.sessions.of(subject, now)]
        if not live and services.guard().identity.principal(subject) is None:
            raise NotFound(why_no_principal(subject))
        ended = [stored.facts for stored in unit.sessions.end(live, of=subject) if stored.facts is not None]
        unit.sessions.revoke(subject, now)
        for facts in ended:
            scribe.ended(unit, facts, "ended by an administrator", by=by.key)
        detail = {"subject": subject, "count": len(ended)}
        unit.audit.append([services.recorder.entry(AuditAction.ACCESS_SESSIONS_ENDED, detail, actor=by.key)])
    return len(ended)
