"""Audit entries of sessions, `session:VERB`: who began or ended one, or was refused one, and from where. Never a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.domain.audit import AuditEntry
from app.domain.clock import Clock, Ids
from app.domain.session import Session
from app.pipeline.ports.stores.unit import Unit


@dataclass(frozen=True, slots=True)
class SessionScribe:
    """Writes down what happens to sessions; every entry of one scribe bears the same correlation id."""

    clock: Clock
    ids: Ids
    correlation_id: str

    @classmethod
    def of(cls, clock: Clock, ids: Ids) -> SessionScribe:
        """Make a scribe for one act."""
        return cls(clock, ids, ids.new())

    def started(self, unit: Unit, session: Session) -> None:
        """Note that somebody signed in."""
        detail = {"session": session.id, "acr": session.acr, "amr": list(session.amr), "is_mfa": session.mfa_at is not None}
        self._note(unit, "started", session, detail)

    def refused(self, unit: Unit, session: Session, why: str) -> None:
        """Note that somebody, proven by the issuer, may not sign in."""
        self._note(unit, "refused", session, {"reason": why})

    def ended(self, unit: Unit, session: Session, why: str) -> None:
        """Note that a session was ended before its time."""
        self._note(unit, "ended", session, {"session": session.id, "reason": why})

    def _note(self, unit: Unit, verb: str, session: Session, detail: dict[str, Any]) -> None:
        told = {"issuer": session.issuer, "subject": session.subject, "address": session.address, "country": session.country}
        entry = AuditEntry(
            id=self.ids.new(),
            at=self.clock.now(),
            action=f"session:{verb}",
            actor=session.subject,
            deployment_id=None,
            delivery_id=None,
            correlation_id=self.correlation_id,
            detail=told | detail,
        )
        unit.audit.append([entry])
