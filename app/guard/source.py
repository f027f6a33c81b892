"""The rules in force: watch the files of the configuration, and take a new version when they change.

A running process takes a new version whole, keeps the old one if the new one has faults, and audits both.
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
from app.guard.load import Memory, load_guard
from app.pipeline.ports.record import Recorder
from app.pipeline.ports.services import Guard
from app.pipeline.ports.stores.unit import Store, Unit
from app.settings import Settings

TELL_EVERY = 1.0  # seconds between two tries while the database is away

_log = logging.getLogger(__name__)

Fingerprint = tuple[tuple[str, int, int, int], ...]


def at_once(act: Callable[[], None]) -> None:
    """Do it now."""
    act()


class GuardSource:
    """Gives the guard in force. Looks at the files' times at every call (some stats, microseconds).

    So no process works by an older version than the one that a neighbour has just planned by.
    """

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, ids: Ids, *, aside: Callable[[Callable[[], None]], None] = at_once
    ) -> None:
        """Audit through `aside`: a process that may not wait for the database hands it to a thread."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._recorder = Recorder(clock, ids)
        self._memory = Memory(store, ids)
        self._lock = threading.Lock()
        self._guard: Guard | None = None
        self._files: tuple[Path, ...] = (settings.config,)
        self._seen: Fingerprint = ()
        self._untold: list[tuple[AuditAction, str, str]] = []
        self._tried_to_tell_at = -TELL_EVERY
        self._aside = aside

    def __call__(self) -> Guard:
        """Return the version in force; raises BadConfiguration only where there never was a good one."""
        guard = self._guard
        if guard is not None and not self._may_tell() and _fingerprint(self._files) == self._seen:
            return guard
        with self._lock:
            return self._look()

    def _look(self) -> Guard:
        if self._guard is None or _fingerprint(self._files) != self._seen:
            self._take()
        if self._may_tell():
            self._tried_to_tell_at = time.monotonic()
            self._aside(self._tell)
        if self._guard is None:
            raise BadConfiguration(["there is no usable configuration"])
        return self._guard

    def _take(self) -> None:
        """Load, and again where a file changed meanwhile; what it was read from is remembered last, with the guard."""
        try:
            seen, guard = self._loaded()
        except BadConfiguration as fault:
            if self._guard is None:
                raise
            self._seen = _fingerprint(self._files)
            _log.error("configuration refused, the former one stays in force: %s", fault)
            self._untold.append((AuditAction.CONFIG_REFUSED, self._guard.digest, str(fault)))
            return
        former = self._guard.digest if self._guard else ""
        self._guard, self._seen = guard, seen
        if guard.digest != former:
            self._untold.append((AuditAction.CONFIG_TAKEN, guard.digest, former))

    def _loaded(self) -> tuple[Fingerprint, Guard]:
        while True:
            seen = _fingerprint(self._files)
            _, guard = load_guard(self._settings, self._clock, self._memory, self._watch)
            if _fingerprint(self._files) == seen:
                return seen, guard

    def _watch(self, configuration: Configuration) -> None:
        """Look at the files that are named now, even if what they hold is refused: there it will be mended."""
        self._files = tuple(_files(self._settings.config, configuration))

    def _may_tell(self) -> bool:
        return bool(self._untold) and time.monotonic() - self._tried_to_tell_at > TELL_EVERY

    def _tell(self) -> None:
        """Audit what was taken, once for all processes; if the database is away, with the next look."""
        untold = list(self._untold)
        try:
            with self._store.unit() as unit:
                for action, digest, other in untold:
                    if _is_news(unit, action, digest, other):
                        unit.audit.append([self._entry(action, digest, other)])
            self._untold = [each for each in self._untold if each not in untold]
        except GateError as fault:
            _log.warning("configuration change not yet audited: %s", fault)

    def _entry(self, action: AuditAction, digest: str, other: str) -> AuditEntry:
        name = "former_digest" if action is AuditAction.CONFIG_TAKEN else "faults"
        return self._recorder.entry(action, {"digest": digest, name: other})


def _is_news(unit: Unit, action: AuditAction, digest: str, other: str) -> bool:
    """Tell whether no other process has told it: a version unlike the newest taken, or faults not seen before."""
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
    found = []
    for path in files:
        try:
            seen = os.stat(path)  # not path.stat(): this is asked for every delivery
        except OSError:
            found.append((str(path), 0, 0, 0))
        else:
            found.append((str(path), seen.st_ino, seen.st_mtime_ns, seen.st_size))
    return tuple(found)
