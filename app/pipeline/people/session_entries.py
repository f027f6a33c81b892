"""Audit entries of sessions: a beginning, an end or a refusal, with its address. Never a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.domain.audit import AuditAction
from app.domain.clock import Clock, Ids
from app.domain.session import Session
from app.pipeline.ports.record import Recorder
from app.pipeline.ports.stores.unit import Unit


@dataclass(frozen=True, slots=True)
class SessionScribe:
    """Writes down what happens to sessions; every entry of one scribe carries the same correlation id."""

    recorder: Recorder

    @classmethod
    def of(cls, clock: Clock, ids: Ids) -> SessionScribe:
        """Make a scribe for one act."""
        return cls(Recorder(clock, ids, correlation_id=ids.new()))

    def started(self, unit: Unit, session: Session) -> None:
        """Note a sign-in."""
        detail = {"session": session.id, "acr": session.acr, "amr": list(session.amr), "is_mfa": session.mfa_at is not None}
        self._note(unit, AuditAction.SESSION_STARTED, session, detail)

    def refused(self, unit: Unit, session: Session, why: str) -> None:
        """Note that a person, proven by the issuer, may not sign in."""
        self._note(unit, AuditAction.SESSION_REFUSED, session, {"reason": why})

    def ended(self, unit: Unit, session: Session, why: str, *, by: str | None = None) -> None:
        """Note that a session was ended before its time: by its own person, or by another actor."""
        self._note(unit, AuditAction.SESSION_ENDED, session, {"session": session.id, "reason": why}, by)

    def _note(self, unit: Unit, action: AuditAction, session: Session, detail: dict[str, Any], by: str | None = None) -> None:
        origin = {"issuer": session.issuer, "subject": session.subject, "address": session.address, "country": session.country}
        unit.audit.append([self.recorder.entry(action, origin | detail, actor=by or session.subject)])
