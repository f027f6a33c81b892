"""Freeze environments for a window, end a freeze, and list those in force: a fact for policies (`decide/case.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.audit import AuditAction, AuditEntry
from app.domain.errors import BadRequest, NotAllowed, NotFound
from app.domain.event import Account
from app.domain.freeze import Freeze, Window
from app.pipeline.freeze.draft import NAME, FreezeDraft, draft_freeze
from app.pipeline.freeze.recurrence import is_in_force, next_window, window_at
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A freeze, and its window in force or the next one. Without a window it is over, or not understood (`fault`)."""

    freeze: Freeze
    is_in_force: bool
    window: Window | None
    fault: str | None = None

    @property
    def comes(self) -> bool:
        """Tell whether the freeze is in force or may still come."""
        return self.is_in_force or self.window is not None


def freeze(services: Services, wanted: FreezeDraft, by: Account) -> Freeze:
    """Freeze in the name of the operator `by`. A freeze of the same name that is over is ended by that.

    Raises NotFound (no such environment), BadRequest, which says what is expected, or NotAllowed (the name is in use).
    """
    now = services.clock.now()
    added = draft_freeze(services, wanted, by, now)
    with services.store.unit() as unit:
        entries = [_entry(services, AuditAction.FREEZE_ENDED, ended, by, now) for ended in _end_former(unit, added)]
        if not unit.freezes.add(added):
            raise NotAllowed(f"there is an open freeze {added.name}; end it first: tidegate freeze end {added.name}")
        unit.audit.append([*entries, _entry(services, AuditAction.FREEZE_ADDED, added, by, now)])
        unit.access.raise_version()  # decisions under way are made again
    return added


def end(services: Services, name: str, by: Account) -> Freeze:
    """End the freeze of this name or id (or end of an id) for good. Raises NotFound, even if it was ended before."""
    now = services.clock.now()
    with services.store.unit() as unit:
        freezes = unit.freezes.find(name) if NAME.match(name.casefold()) else []
        if not freezes or (len(freezes) > 1 and freezes[0].name != name):
            raise NotFound(f"there is no open freeze {name[:63]!r}, or more than one")
        ended = unit.freezes.end(freezes[0].id, by.key, now)
        if ended is None:
            raise NotFound(f"the freeze {name} has just been ended")
        unit.audit.append([_entry(services, AuditAction.FREEZE_ENDED, ended, by, now)])
        unit.access.raise_version()
    return ended


def freezes_at(unit: Unit, environment: str, now: datetime) -> tuple[Freeze, ...]:
    """List the freezes of an environment that are in force, with one statement."""
    return tuple(freeze for freeze in unit.freezes.open(now, environment) if is_in_force(freeze, now))


def upcoming(services: Services, environment: str | None = None, *, everything: bool = False) -> list[Upcoming]:
    """List freezes that are in force or to come, or with `everything` all that there ever were.

    Those of all environments are listed with those of one `environment`.

    Raises NotFound (no such environment).
    """
    if environment is not None and services.guard().environment(environment) is None:
        raise NotFound(f"there is no environment {environment}")
    now = services.clock.now()
    with services.store.reading() as unit:
        freezes = unit.freezes.all(environment) if everything else unit.freezes.open(now, environment)
    statuses = [status_of(freeze, now) for freeze in freezes]
    return [status for status in statuses if everything or status.comes]


def status_of(freeze: Freeze, now: datetime) -> Upcoming:
    """Tell how a freeze stands now."""
    if freeze.ended_at is not None:
        return Upcoming(freeze, is_in_force=False, window=None)
    try:
        current = window_at(freeze, now)
        return Upcoming(freeze, current is not None, current or next_window(freeze, now))
    except BadRequest as fault:
        return Upcoming(freeze, is_in_force(freeze, now), None, str(fault))


def _end_former(unit: Unit, added: Freeze) -> list[Freeze]:
    """End the freezes that have the name and are over."""
    named = [freeze for freeze in unit.freezes.find(added.name) if freeze.name == added.name]
    over = [freeze for freeze in named if not status_of(freeze, added.added_at).comes]
    ended = [unit.freezes.end(freeze.id, added.added_by, added.added_at) for freeze in over]
    return [freeze for freeze in ended if freeze is not None]


def _entry(services: Services, action: AuditAction, freeze: Freeze, by: Account, now: datetime) -> AuditEntry:
    return services.recorder.entry(action, _audit_detail(freeze), about=freeze, actor=by.key, at=now)


def _audit_detail(freeze: Freeze) -> dict[str, Any]:
    return {
        "freeze": freeze.id,
        "name": freeze.name,
        "environment": freeze.environment,
        "reason": freeze.reason,
        "time_zone": freeze.time_zone,
        "starts_at": freeze.starts_at.isoformat(),
        "lasts": int(freeze.lasts.total_seconds()),
        "rule": freeze.rule,
        "until": freeze.until.isoformat() if freeze.until else None,
    }
