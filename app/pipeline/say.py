"""Write down what a source says, with an audit entry for each change and a new version of the access map: all or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.access import AccountLink, Change, Page
from app.domain.audit import AuditEntry
from app.domain.clock import Clock, Ids
from app.pipeline.stores import Unit


@dataclass(frozen=True, slots=True)
class Scribe:
    """Writes to the access map in the name of `actor`; every entry of one scribe bears the same correlation id."""

    clock: Clock
    ids: Ids
    actor: str
    correlation_id: str

    @classmethod
    def of(cls, clock: Clock, ids: Ids, actor: str) -> Scribe:
        """Make a scribe for one act."""
        return cls(clock, ids, actor, ids.new())

    def say(self, unit: Unit, source: str, page: Page) -> list[Change]:
        """Take down a page of an opened source; return what it changed."""
        return self.audit(unit, source, unit.statements.say(source, page, self.clock.now()))

    def audit(self, unit: Unit, source: str, changes: Sequence[Change]) -> list[Change]:
        """Audit changes of a source, made in the same unit."""
        self.note(unit, [(c.verb, _detail(source, c)) for c in changes])
        return list(changes)

    def link(self, unit: Unit, link: AccountLink) -> bool:
        """Say for whom an account stands; False if it was already said in the same way."""
        if not unit.access.link(link):
            return False
        self.note(unit, [("linked", {"account": link.key, "subject": link.subject, "how": link.how.value})])
        return True

    def note(self, unit: Unit, acts: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Audit acts on the access map, `access:VERB`, and let whoever decides ask again."""
        if acts:
            unit.audit.append([self._entry(verb, detail) for verb, detail in acts])
            unit.access.raise_version()

    def _entry(self, verb: str, detail: dict[str, Any]) -> AuditEntry:
        return AuditEntry(
            id=self.ids.new(),
            at=self.clock.now(),
            action=f"access:{verb}",
            actor=self.actor,
            deployment_id=None,
            delivery_id=None,
            correlation_id=self.correlation_id,
            detail=detail,
        )


def _detail(source: str, change: Change) -> dict[str, Any]:
    about = {"subject": change.subject} if change.subject else {}
    return {"source": source, "external_id": change.external_id, **about, **change.detail}
