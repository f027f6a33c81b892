"""Freeze environments for a window, end that, and tell what is in force: a fact for policies (`decide/case.py`)."""

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
    """A freeze, and the window that is in force or comes next; without one it is over or not understood (`fault`)."""

    freeze: Freeze
    is_in_force: bool
    window: Window | None
    fault: str | None = None

    @property
    def comes(self) -> bool:
        """Tell whether it is in force or may yet be."""
        return self.is_in_force or self.window is not None


def freeze(services: Services, wanted: FreezeDraft, by: Account) -> Freeze:
    """Freeze in the name of the operator `by`. A freeze of the same name that is over gives way, and is ended with that.

    Raises NotFound (no such environment), BadRequest that says what is expected, or NotAllowed (the name is in use).
    """
    now = services.clock.now()
    made = draft_freeze(services, wanted, by, now)
    with services.store.unit() as unit:
        entries = [_entry(services, AuditAction.FREEZE_ENDED, each, by, now) for each in _give_way(unit, made)]
        if not unit.freezes.add(made):
            raise NotAllowed(f"there is an open freeze {made.name}; end it first: tidegate freeze end {made.name}")
        unit.audit.append([*entries, _entry(services, AuditAction.FREEZE_ADDED, made, by, now)])
        unit.access.raise_version()  # whoever decides at this moment decides again
    return made


def end(services: Services, name: str, by: Account) -> Freeze:
    """End the freeze of this name or id (or end of an id), for good. Raises NotFound, also where it was ended already."""
    now = services.clock.now()
    with services.store.unit() as unit:
        found = unit.freezes.find(name) if NAME.match(name.casefold()) else []
        if not found or (len(found) > 1 and found[0].name != name):
            raise NotFound(f"there is no open freeze {name[:63]!r}, or more than one")
        ended = unit.freezes.end(found[0].id, by.key, now)
        if ended is None:
            raise NotFound(f"the freeze {name} was ended this moment")
        unit.audit.append([_entry(services, AuditAction.FREEZE_ENDED, ended, by, now)])
        unit.access.raise_version()
    return ended


def freezes_at(unit: Unit, environment: str, now: datetime) -> tuple[Freeze, ...]:
    """List the freezes of an environment that are in force; one statement."""
    return tuple(each for each in unit.freezes.open(now, environment) if is_in_force(each, now))


def upcoming(services: Services, environment: str | None = None, *, everything: bool = False) -> list[Upcoming]:
    """List freezes in force or to come (of an environment, with those of all), or everything that there ever was.

    Raises NotFound (no such environment).
    """
    if environment is not None and services.guard().environment(environment) is None:
        raise NotFound(f"there is no environment {environment}")
    now = services.clock.now()
    with services.store.reading() as unit:
        freezes = unit.freezes.all(environment) if everything else unit.freezes.open(now, environment)
    shown = [status_of(each, now) for each in freezes]
    return [each for each in shown if everything or each.comes]


def status_of(each: Freeze, now: datetime) -> Upcoming:
    """Tell how a freeze stands now."""
    if each.ended_at is not None:
        return Upcoming(each, is_in_force=False, window=None)
    try:
        held = window_at(each, now)
        return Upcoming(each, held is not None, held or next_window(each, now))
    except BadRequest as fault:
        return Upcoming(each, is_in_force(each, now), None, str(fault))


def _give_way(unit: Unit, made: Freeze) -> list[Freeze]:
    """End the freeze that has the name and is over."""
    held = [each for each in unit.freezes.find(made.name) if each.name == made.name and not status_of(each, made.added_at).comes]
    ended = [unit.freezes.end(each.id, made.added_by, made.added_at) for each in held]
    return [each for each in ended if each is not None]


def _entry(services: Services, action: AuditAction, each: Freeze, by: Account, now: datetime) -> AuditEntry:
    return services.recorder.entry(action, _told(each), about=each, actor=by.key, at=now)


def _told(each: Freeze) -> dict[str, Any]:
    return {
        "freeze": each.id,
        "name": each.name,
        "environment": each.environment,
        "reason": each.reason,
        "time_zone": each.time_zone,
        "starts_at": each.starts_at.isoformat(),
        "lasts": int(each.lasts.total_seconds()),
        "rule": each.rule,
        "until": each.until.isoformat() if each.until else None,
    }
