"""Give the rules in force: watch the configuration's files, and take a new version when they change.

A running process takes a new version whole. It keeps the old one if the new one has faults. Both cases are audited.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from app.config.load import Configuration
from app.domain.audit import AuditAction, AuditEntry
from app.domain.clock import Clock, Ids
from app.domain.errors import BadConfiguration, GateError
from app.domain.event import GATE_ACCOUNT
from app.guard.load import Memory, load_guard
from app.integrations.repositories.turns import MANY, Turns
from app.pipeline.ports.record import Recorder
from app.pipeline.ports.services import Guard
from app.pipeline.ports.stores.unit import Store, Unit
from app.settings import Settings
from app.toml_lines import new_slips

AUDIT_EVERY = 1.0  # seconds between two tries to audit while the database is away

_log = logging.getLogger(__name__)

Fingerprint = tuple[tuple[str, int, int, int], ...]


def at_once(act: Callable[[], None]) -> None:
    """Call `act` now."""
    act()


class GuardSource:
    """Gives the guard in force. It looks at the files' times at every call (a few stats, microseconds).

    So no process works by an older version than the one by which another process has just planned.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        ids: Ids,
        *,
        aside: Callable[[Callable[[], None]], None] = at_once,
        threads: int = MANY,
    ) -> None:
        """Audit through `aside`: a process that may not wait for the database passes the work to a thread.

        `threads`: how many the process has; git may hold up a part of them.
        """
        self._settings = settings
        self._store = store
        self._clock = clock
        self._recorder = Recorder(clock, ids)
        self._memory = Memory(store, ids, turns=Turns(settings.repository_threads, threads=threads))
        self._lock = threading.Lock()
        self._guard: Guard | None = None
        self._files: tuple[Path, ...] = (settings.config,)
        self._seen: Fingerprint = ()
        self._unaudited: list[tuple[AuditAction, str, str]] = []
        self._tried_to_audit_at = -AUDIT_EVERY
        self._aside = aside

    def __call__(self) -> Guard:
        """Return the version in force; raises BadConfiguration only if there never was a good one."""
        guard = self._guard
        if guard is not None and not self._may_audit() and _fingerprint(self._files) == self._seen:
            return guard
        with self._lock:
            return self._look()

    def _look(self) -> Guard:
        if self._guard is None or _fingerprint(self._files) != self._seen:
            self._take_newest()
        if self._may_audit():
            self._tried_to_audit_at = time.monotonic()
            self._aside(self._audit)
        if self._guard is None:
            raise BadConfiguration(["there is no usable configuration"])
        return self._guard

    def _take_newest(self) -> None:
        """Load the files, again if one changed meanwhile. Their fingerprint is remembered last, with the guard."""
        try:
            seen, guard = self._load_unchanged()
            self._take_slips(guard)
        except BadConfiguration as fault:
            if self._guard is None:
                raise
            self._seen = _fingerprint(self._files)
            _log.error("configuration refused; the former version stays in force: %s", fault)
            self._unaudited.append((AuditAction.CONFIG_REFUSED, self._guard.digest, str(fault)))
            return
        former = self._guard.digest if self._guard else ""
        self._guard, self._seen = guard, seen
        if guard.digest != former:
            self._unaudited.append((AuditAction.CONFIG_TAKEN, guard.digest, former))

    def _take_slips(self, guard: Guard) -> None:
        """Warn of slips at the start; refuse a later version that brings new ones. Raises BadConfiguration."""
        if self._guard is None:
            for slip in guard.slips:
                _log.warning("configuration: %s; a running gate would refuse this", slip)
        elif slips := new_slips(guard.slips, self._guard.slips):
            raise BadConfiguration([str(slip) for slip in slips])

    def _load_unchanged(self) -> tuple[Fingerprint, Guard]:
        while True:
            seen = _fingerprint(self._files)
            _, guard = load_guard(self._settings, self._clock, self._memory, self._watch)
            if _fingerprint(self._files) == seen:
                return seen, guard

    def _watch(self, configuration: Configuration) -> None:
        """Watch the files that are named now, even if their content is refused: a mended one must be noticed."""
        self._files = tuple(_files(self._settings.config, configuration))

    def _may_audit(self) -> bool:
        return bool(self._unaudited) and time.monotonic() - self._tried_to_audit_at > AUDIT_EVERY

    def _audit(self) -> None:
        """Audit new and refused versions, once for all processes. If the database is away, try again with the next look."""
        unaudited = list(self._unaudited)
        try:
            with self._store.unit() as unit:
                for action, digest, other in unaudited:
                    if _is_news(unit, action, digest, other):
                        unit.audit.append([self._entry(action, digest, other)])
            self._unaudited = [change for change in self._unaudited if change not in unaudited]
        except GateError as fault:
            _log.warning("configuration change not yet audited: %s", fault)

    def _entry(self, action: AuditAction, digest: str, other: str) -> AuditEntry:
        name = "former_digest" if action is AuditAction.CONFIG_TAKEN else "faults"
        return self._recorder.entry(action, {"digest": digest, name: other}, actor=GATE_ACCOUNT.key)


def _is_news(unit: Unit, action: AuditAction, digest: str, other: str) -> bool:
    """Tell whether no other process has audited it: a version unlike the newest taken, or faults not seen before."""
    if action is AuditAction.CONFIG_TAKEN:
        return unit.audit.newest_configuration() != digest
    return unit.remember_version(action, hashlib.sha256(f"{digest}\n{other}".encode()).hexdigest(), other)


def _files(config: Path, configuration: Configuration) -> Iterator[Path]:
    yield config
    if configuration.people is not None:
        yield configuration.people
    yield configuration.policies
    yield from sorted(configuration.policies.glob("*.cedar"))


def _fingerprint(files: tuple[Path, ...]) -> Fingerprint:
    marks = []
    for path in files:
        try:
            status = os.stat(path)  # not path.stat(): this is asked for every delivery
        except OSError:
            marks.append((str(path), 0, 0, 0))
        else:
            marks.append((str(path), status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(marks)
