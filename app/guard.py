"""The rules in force: read tidegate.toml, people and policies as one version, and take a new one when the files change.

A running process takes a new version whole, keeps the old one where the new one has faults, and audits both.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from app.configuration import Configuration, ForgeSettings, load_configuration
from app.domain.audit import AuditEntry
from app.domain.clock import Clock, Ids
from app.domain.environment import TargetSettings
from app.domain.errors import BadConfiguration, GateError
from app.integrations.identity.file import FilePeople
from app.integrations.identity.file import load as load_people
from app.integrations.policy.cedar import CedarPolicy
from app.integrations.policy.cedar import load as load_policies
from app.integrations.registry import FORGES, forge_class, target_class, target_options
from app.integrations.repositories.mirror import Mirror
from app.integrations.secrets.env import EnvSecrets
from app.integrations.secrets.file import FileSecrets
from app.integrations.secrets.protocol import Secret
from app.integrations.targets.protocol import Target
from app.pipeline.services import ForgeBinding, Guard
from app.pipeline.stores import Store
from app.settings import Settings, environ

LOOK_EVERY = 1.0

_log = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")
Fingerprint = tuple[tuple[str, int, int], ...]


class GuardSource:
    """Gives the guard in force; looks at the files at most once a second."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, ids: Ids) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._ids = ids
        self._lock = threading.Lock()
        self._guard: Guard | None = None
        self._files: tuple[Path, ...] = (settings.config,)
        self._seen: Fingerprint = ()
        self._looked_at = 0.0
        self._untold: list[tuple[str, str, str]] = []

    def __call__(self) -> Guard:
        """Return the version in force; raises BadConfiguration only where there never was a good one."""
        guard = self._guard
        if guard is not None and time.monotonic() - self._looked_at < LOOK_EVERY:
            return guard
        with self._lock:
            return self._look()

    def _look(self) -> Guard:
        self._looked_at = time.monotonic()
        seen = _fingerprint(self._files)
        if self._guard is None or seen != self._seen:
            self._take(seen)
        if self._untold:
            self._tell()
        if self._guard is None:
            raise BadConfiguration(["there is no usable configuration"])
        return self._guard

    def _take(self, seen: Fingerprint) -> None:
        try:
            configuration, guard = load_guard(self._settings, self._clock)
        except BadConfiguration as fault:
            self._seen = seen
            if self._guard is None:
                raise
            _log.error("configuration refused, the former one stays in force: %s", fault)
            self._untold.append(("config:refused", self._guard.digest, str(fault)))
            return
        former = self._guard.digest if self._guard else ""
        self._files = tuple(_files(self._settings.config, configuration))
        self._seen = _fingerprint(self._files)
        self._guard = guard
        self._untold.append(("config:taken", guard.digest, former))

    def _tell(self) -> None:
        """Audit what was taken, once for all processes; if the database is away, with the next look."""
        try:
            with self._store.unit() as unit:
                for action, digest, other in self._untold:
                    if unit.remember_version(action, digest, other):
                        unit.audit.append([self._entry(action, digest, other)])
            self._untold.clear()
        except GateError as fault:
            _log.warning("configuration change not yet audited: %s", fault)

    def _entry(self, action: str, digest: str, other: str) -> AuditEntry:
        name = "former_digest" if action == "config:taken" else "faults"
        return AuditEntry(
            id=self._ids.new(),
            at=self._clock.now(),
            action=action,
            actor="tidegate:gate",
            deployment_id=None,
            delivery_id=None,
            correlation_id=self._ids.new(),
            detail={"digest": digest, name: other},
        )


def load_guard(settings: Settings, clock: Clock) -> tuple[Configuration, Guard]:
    """Load and check everything that the gate goes by; raises BadConfiguration with every fault."""
    configuration = load_configuration(settings.config, target_options, frozenset(FORGES))
    faults: list[str] = []
    people = _or_faults(faults, lambda: load_people(configuration.people))
    policies = _or_faults(faults, lambda: load_policies(configuration.policies))
    if faults or people is None or policies is None:
        raise BadConfiguration(faults)
    return configuration, _guard(settings, clock, configuration, people, policies)


def _or_faults(faults: list[str], load: Callable[[], Loaded]) -> Loaded | None:
    try:
        return load()
    except BadConfiguration as fault:
        faults += fault.faults
        return None


def _guard(settings: Settings, clock: Clock, configuration: Configuration, people: FilePeople, policies: CedarPolicy) -> Guard:
    state = settings.state_dir.resolve()
    forges = configuration.forges
    return Guard(
        digest=f"{configuration.digest}.{people.digest}.{policies.digest}",
        environments=configuration.environments,
        forges={name: _binding(forge) for name, forge in forges.items()},
        target_zones={name: target.zone for name, target in configuration.targets.items()},
        targets={name: _target(target, state, clock) for name, target in configuration.targets.items()},
        identity=people,
        policy=policies,
        repositories=Mirror(
            state / "mirrors",
            lambda key: clone_url(forges, key),
            lambda key: _token(forges, key),
            environ=environ(),
        ),
    )


def _binding(forge: ForgeSettings) -> ForgeBinding:
    references = forge.webhook_secrets
    return ForgeBinding(forge_class(forge.kind)(), lambda: [secret(r).reveal() for r in references])


def _target(target: TargetSettings, state: Path, clock: Clock) -> Target:
    options = target_options(target.kind)(**target.options)
    made: Target = target_class(target.kind)(target.name, options, state_dir=state / "targets", clock=clock, secret=secret)
    return made


def secret(reference: str) -> Secret:
    """Resolve `env:NAME` or `file:/path`; raises SecretUnavailable."""
    kind, _, rest = reference.partition(":")
    store = FileSecrets() if kind == "file" else EnvSecrets(environ())
    return store.get(rest)


def clone_url(forges: Mapping[str, ForgeSettings], key: str) -> str:
    """Say where the repository `FORGE:OWNER/NAME` is fetched from: from the configuration, never from a payload."""
    name, _, repository = key.partition(":")
    forge = forges[name]
    return forge.clone.format(url=forge.url.rstrip("/"), repository=repository)


def _token(forges: Mapping[str, ForgeSettings], key: str) -> str | None:
    reference = forges[key.partition(":")[0]].api_token
    return secret(reference).reveal().decode() if reference else None


def _files(config: Path, configuration: Configuration) -> Iterator[Path]:
    yield config
    yield configuration.people
    yield configuration.policies
    yield from sorted(configuration.policies.glob("*.cedar"))


def _fingerprint(files: tuple[Path, ...]) -> Fingerprint:
    found = []
    for path in files:
        try:
            stat = path.stat()
        except OSError:
            found.append((str(path), 0, 0))
        else:
            found.append((str(path), stat.st_mtime_ns, stat.st_size))
    return tuple(found)
