"""Read an identity source and write down what it says: changes often, the whole now and then, and the subjects of hints.

Pages are written as they come, each in a transaction of its own: each is true by itself. Only a complete reading confirms
the source. An interrupted one leaves the source as old as it was, and in the end stale (DESIGN invariant 7).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from app.domain.access import SKEW, Hint, Page, SourceRule, SourceState
from app.domain.errors import GateError, NotFound, SourceUnavailable, StoreUnavailable
from app.domain.text import plain_line
from app.integrations.identity.protocol import IdentitySource
from app.pipeline.people.scribe import Scribe
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit

LEASE_SECONDS = 300.0
OVERLAP = timedelta(minutes=2)  # between two readings of changes: the source's clock is not ours
RETRY_AFTER = timedelta(seconds=30)
AGAIN_AFTER = timedelta(seconds=4)
MOST_EVENTS = 100
FEW = 20  # so many people or groups may vanish from a source without a question


@dataclass(slots=True)
class Reading:
    """The outcome of reading a source. `is_whole`: everything was read; `is_taken`: another process is reading it."""

    source: str
    is_whole: bool = False
    is_taken: bool = False
    identities: int = 0
    groups: int = 0
    changes: int = 0


def due_sources(services: Services) -> list[str]:
    """List the sources that are due now: their time has come, or a hint is open."""
    now, rules = services.clock.now(), [s.rule for s in services.guard().sources.values() if s.rule.refresh is not None]
    if not rules:
        return []
    with services.store.reading() as unit:
        states = {state.name: state for state in unit.statements.states()}
        hinted = set(unit.hints.sources())
    return [
        r.name for r in rules if _may_try(states.get(r.name), now) and (r.name in hinted or _is_due(states.get(r.name), r, now))
    ]


def sync(services: Services, name: str, *, whole: bool = False, force: bool = False) -> Reading:
    """Read as much of the source `name` as is due, or the `whole` of it. `force` believes it even if most people are missing.

    Raises NotFound (no such source is read) or SourceUnavailable.
    """
    binding = services.guard().sources.get(name)
    if binding is None or binding.rule.refresh is None:
        raise NotFound(f"there is no identity source {name} that is read")
    started_at = services.clock.now()
    scribe = Scribe.of(services.clock, services.ids, f"source:{name}")
    with services.store.unit() as unit:
        state = scribe.open(unit, name, binding.rule.kind)
        events = unit.hints.open(name, MOST_EVENTS)
        if not unit.statements.lease(name, scribe.correlation_id, started_at, LEASE_SECONDS):
            return Reading(name, is_taken=True)
    reading = _Reading(services, binding.rule, state, events, started_at, scribe)
    try:
        return reading.run(binding.reader(), whole=whole or force, force=force)
    except Exception as fault:
        why = str(fault) if isinstance(fault, GateError) else f"an unexpected {type(fault).__name__}; the log tells more"
        with suppress(StoreUnavailable), services.store.unit() as unit:
            unit.statements.release(name, scribe.correlation_id, plain_line(why))
        raise


def _may_try(state: SourceState | None, now: datetime) -> bool:
    """Tell whether the last try is long enough ago: it failed, or its process may still be reading."""
    if state is None or state.tried_at is None:
        return True
    pause = RETRY_AFTER if state.fault is not None else AGAIN_AFTER
    return _has_passed(state.tried_at, pause, now)


def _is_due(state: SourceState | None, rule: SourceRule, now: datetime) -> bool:
    return _is_whole_due(state, rule, now) or state is None or _has_passed(state.refreshed_at, rule.refresh, now)


def _is_whole_due(state: SourceState | None, rule: SourceRule, now: datetime) -> bool:
    return state is None or _has_passed(state.reconciled_at, rule.reconcile, now)


def _has_passed(since: datetime | None, interval: timedelta | None, now: datetime) -> bool:
    return since is None or interval is None or not -SKEW < now - since < interval


@dataclass(slots=True)
class _Reading:
    """One reading under its lease, which carries the scribe's correlation id."""

    services: Services
    rule: SourceRule
    state: SourceState
    events: dict[str, list[Hint]]
    started_at: datetime
    scribe: Scribe

    def run(self, source: IdentitySource, *, whole: bool, force: bool) -> Reading:
        """Read what is due; the whole if a part is not enough."""
        pages = None
        if not whole and not _is_whole_due(self.state, self.rule, self.started_at):
            pages = self._partial_pages(source)
        done = self._take_down(pages if pages is not None else source.read_all(), is_whole=pages is None)
        self._close(done, force=force)
        return done[0]

    def _partial_pages(self, source: IdentitySource) -> Iterator[Page] | None:
        """Read the subjects of hints, and the changes if they are due; None if the source can only be read whole."""
        parts: list[Iterator[Page]] = []
        for hint in dict.fromkeys(hint for hints in self.events.values() for hint in hints):
            again = source.read_again(hint)
            if again is None:
                return None
            parts.append(again)
        if self._is_refresh_due():
            changes = source.read_changes(self._since())
            if changes is None:
                return None
            parts.append(changes)
        return chain.from_iterable(parts)

    def _is_refresh_due(self) -> bool:
        return _has_passed(self.state.refreshed_at, self.rule.refresh, self.started_at)

    def _since(self) -> datetime:
        return (self.state.refreshed_at or self.started_at) - OVERLAP

    def _take_down(self, pages: Iterator[Page], *, is_whole: bool) -> tuple[Reading, set[str], set[str]]:
        reading, seen, seen_groups = Reading(self.rule.name, is_whole), set[str](), set[str]()
        for page in pages:
            with self.services.store.unit() as unit:
                self._hold(unit)
                reading.changes += len(self.scribe.say(unit, self.rule.name, page))
            reading.identities += len(page.identities)
            reading.groups += len(page.groups)
            seen.update(identity.external_id for identity in page.identities)
            seen_groups.update(group.external_id for group in page.groups)
        return reading, seen, seen_groups

    def _hold(self, unit: Unit) -> None:
        """Extend the lease, or stop if another process has begun to read: an older reading may not overwrite a newer one."""
        if not unit.statements.extend(self.rule.name, self.scribe.correlation_id, self.services.clock.now(), LEASE_SECONDS):
            raise SourceUnavailable(f"the reading of {self.rule.name} took too long, and another one has begun")

    def _close(self, done: tuple[Reading, set[str], set[str]], *, force: bool) -> None:
        """Note what is gone if the whole was read, that the source was heard, and which hints are answered."""
        reading, seen, seen_groups = done
        name, now = self.rule.name, self.services.clock.now()
        with self.services.store.unit() as unit:
            self._hold(unit)
            if reading.is_whole:
                people, groups = unit.statements.known(name)
                gone = people - seen
                if not force:
                    _refuse_great_loss("people", len(gone), len(people), name)
                    _refuse_great_loss("groups", len(groups - seen_groups), len(groups), name)
                changes = unit.statements.forget(name, sorted(gone), sorted(groups - seen_groups), now=now)
                reading.changes += len(self.scribe.audit(unit, name, changes))
            unit.hints.close(name, list(self.events), now)
            is_refreshed = reading.is_whole or self._is_refresh_due()
            heard_at = self.started_at if is_refreshed else self.state.refreshed_at or self.started_at
            unit.statements.heard(name, heard_at, whole=reading.is_whole)
            unit.statements.release(name, self.scribe.correlation_id, None)


def _refuse_great_loss(what: str, gone: int, of: int, name: str) -> None:
    """Refuse an answer that lacks more than half of the people or groups, until an operator says that it is right.

    Disabled people do not count as missing: the source still names them, as inactive.
    """
    if gone > FEW and gone * 2 > of:
        raise SourceUnavailable(
            f"{gone} of {of} {what} are missing in what {name} says; if that is right: tidegate access sync {name} --force"
        )
