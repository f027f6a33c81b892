"""Make audit entries: the one door to the log. The step that makes an entry appends it in its own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from app.domain.audit import AuditAction, AuditEntry
from app.domain.clock import Clock, Ids
from app.domain.delivery import Delivery
from app.domain.deployment import Deployment, State
from app.domain.freeze import Freeze
from app.domain.notice import Notice
from app.domain.proposal import Proposal

About = Deployment | Delivery | Proposal | Freeze | Notice


class _Subject(NamedTuple):
    """The fields that an entry takes from its subject."""

    correlation_id: str | None = None
    actor: str | None = None
    deployment_id: str | None = None
    delivery_id: str | None = None
    detail: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Recorder:
    """Makes entries. `actor` and `correlation_id` hold for entries whose call and subject name none.

    An entry without any correlation id gets one of its own.
    """

    clock: Clock
    ids: Ids
    actor: str = ""
    correlation_id: str = ""

    def act(self, actor: str) -> Recorder:
        """Make a recorder for one act of `actor`; its entries share a correlation id."""
        return replace(self, actor=actor, correlation_id=self.ids.new())

    def entry(
        self,
        action: AuditAction,
        detail: Mapping[str, Any] | None = None,
        *,
        about: About | None = None,
        actor: str | None = None,
        correlation_id: str | None = None,
        at: datetime | None = None,
    ) -> AuditEntry:
        """Make the entry that `action` happened, now or at the step's own time `at`. `detail` is added to the subject's.

        The actor of an entry about a deployment is the proven principal, or else the forge account. The actor of one about a
        delivery is its sender. Raises ValueError if neither the call, the subject nor the recorder names an actor.
        """
        subject = _subject(about)
        acting = actor if actor is not None else subject.actor or self.actor
        if actor is None and not acting:
            raise ValueError(f"the entry {action} names no actor")
        return AuditEntry(
            id=self.ids.new(),
            at=at or self.clock.now(),
            action=action,
            actor=acting,
            deployment_id=subject.deployment_id,
            delivery_id=subject.delivery_id,
            correlation_id=correlation_id or subject.correlation_id or self.correlation_id or self.ids.new(),
            detail={**subject.detail, **(detail or {})},
        )


def deployment_action(state: State) -> AuditAction:
    """Return the action of a move to this state; raises ValueError if the log has no action for the state."""
    return AuditAction(f"deployment:{state.value}")


def _subject(about: About | None) -> _Subject:
    match about:
        case Deployment():
            actor = about.principal or about.actor.key
            detail = {"environment": about.environment, "sha": about.sha}
            return _Subject(about.correlation_id, actor, about.id, about.delivery_id, detail)
        case Delivery():
            sender = about.event.actor.key if about.event else f"forge:{about.forge}"
            return _Subject(about.id, sender, delivery_id=about.id)
        case Proposal():
            return _Subject(about.id, deployment_id=about.deployment_id)
        case Freeze() | Notice():
            return _Subject(about.id)
        case None:
            return _Subject()
