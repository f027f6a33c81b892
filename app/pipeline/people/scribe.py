"""Write down what a source says, with an audit entry for each change and a new access-map version: all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from app.domain.access import AccessChange, AccountLink, LinkedBy, Page, SourceKind, SourceState
from app.domain.audit import AuditAction
from app.domain.clock import Clock, Ids
from app.domain.event import Account
from app.pipeline.ports.record import Recorder
from app.pipeline.ports.stores.unit import Unit

_PASSED_ON = AuditAction.ACCESS_SUBJECT_PASSED_ON
_ENDS_SESSIONS = frozenset({AuditAction.ACCESS_IDENTITY_DEACTIVATED, AuditAction.ACCESS_IDENTITY_GONE, _PASSED_ON})

Act = tuple[AuditAction, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Scribe:
    """Writes to the access map in the name of its recorder's actor; every entry of one scribe carries the same correlation id."""

    recorder: Recorder

    @classmethod
    def of(cls, clock: Clock, ids: Ids, actor: str) -> Scribe:
        """Make a scribe for one act."""
        return cls(Recorder(clock, ids).act(actor))

    @property
    def correlation_id(self) -> str:
        """The id that all entries of this act share."""
        return self.recorder.correlation_id

    def now(self) -> datetime:
        """Return the time."""
        return self.recorder.clock.now()

    def open(self, unit: Unit, source: str, kind: SourceKind) -> SourceState:
        """Register a source and lock it. Audit it if statements of another kind of source under its name are forgotten."""
        state = unit.statements.open(source, kind)
        if state.former_kind is not None:
            kinds = {"kind": kind.value, "former_kind": state.former_kind.value}
            self.note(unit, [(AuditAction.ACCESS_SOURCE_BEGUN_ANEW, {"source": source, **kinds})])
        return state

    def say(self, unit: Unit, source: str, page: Page) -> list[AccessChange]:
        """Write down a page of an opened source; return the changes."""
        return self.audit(unit, source, unit.statements.say(source, page, self.now()))

    def acts_of(self, unit: Unit, source: str, changes: Sequence[AccessChange]) -> list[Act]:
        """List the acts of a source's changes, with their consequences for links, keys and sessions."""
        acts = [(change.action, _detail(source, change)) for change in changes]
        for change in changes:
            if change.subject is not None and change.action in _ENDS_SESSIONS:
                acts += self._end_sessions(unit, change.subject)
            if change.subject is not None and change.action is _PASSED_ON:
                acts += self._revoke_belongings(unit, change.subject)
        return acts

    def audit(self, unit: Unit, source: str, changes: Sequence[AccessChange]) -> list[AccessChange]:
        """Audit changes of a source, made in the same unit."""
        self.note(unit, self.acts_of(unit, source, changes))
        return list(changes)

    def link(self, unit: Unit, link: AccountLink) -> bool:
        """Link an account to a principal; False if it was already linked in the same way."""
        if not unit.access.link(link):
            return False
        self.note(unit, [(AuditAction.ACCESS_LINKED, link_detail(link))])
        return True

    def move_links(self, unit: Unit, former: str, subject: str) -> None:
        """Link the accounts of a subject to its new name, but not those of people.toml, which names people itself."""
        acts: list[Act] = []
        for link in unit.access.links_of([former]):
            if link.how is not LinkedBy.FILE:
                unit.access.unlink(Account(link.forge, link.account_id, ""), [link.how])
                renamed = replace(link, subject=subject)
                unit.access.link(renamed)
                acts += [(AuditAction.ACCESS_UNLINKED, link_detail(link)), (AuditAction.ACCESS_LINKED, link_detail(renamed))]
        self.note(unit, acts)

    def note(self, unit: Unit, acts: Sequence[Act]) -> None:
        """Audit acts on the access map, and raise its version, so that decisions under way are made again."""
        if acts:
            unit.audit.append([self.recorder.entry(action, detail) for action, detail in acts])
            unit.access.raise_version()

    def _end_sessions(self, unit: Unit, subject: str) -> list[Act]:
        live = unit.sessions.of(subject, self.now())
        if live:
            unit.sessions.end([session.id for session in live])
        revoked = unit.sessions.revoke(subject, self.now())
        return [(AuditAction.ACCESS_SESSIONS_ENDED, {"subject": subject, "count": len(live)})] if live or revoked else []

    def _revoke_belongings(self, unit: Unit, subject: str) -> list[Act]:
        """Remove the links and keys of a subject that has passed on: another person may have it now."""
        acts: list[Act] = []
        for link in unit.access.links_of([subject]):
            if link.how is not LinkedBy.FILE:
                unit.access.unlink(Account(link.forge, link.account_id, ""), [link.how])
                acts.append((AuditAction.ACCESS_UNLINKED, link_detail(link)))
        for key in unit.commit_keys.all(subject):
            if not key.is_revoked and unit.commit_keys.revoke(key.fingerprint, self.recorder.actor, self.now()):
                detail = {"subject": subject, "kind": key.kind.value, "fingerprint": key.fingerprint}
                acts.append((AuditAction.ACCESS_KEY_REVOKED, detail))
        return acts


def link_detail(link: AccountLink) -> dict[str, Any]:
    """Return a link as an audit entry spells it."""
    return {"account": link.key, "subject": link.subject, "how": link.how.value}


def _detail(source: str, change: AccessChange) -> dict[str, Any]:
    about = {"subject": change.subject} if change.subject else {}
    return {"source": source, "external_id": change.external_id, **about, **change.detail}
