"""The rules in force: read tidegate.toml, people and policies as one version, and take a new one when the files change.

A running process takes a new version whole, keeps the old one where the new one has faults, and audits both.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from app.config.load import Configuration, ForgeSettings, IssuerSettings, Kinds, SourceSettings, load_configuration
from app.domain.audit import AuditAction, AuditEntry
from app.domain.clock import Clock, Ids
from app.domain.environment import Environment, TargetSettings
from app.domain.errors import BadConfiguration, GateError
from app.guard.sinks import sink_bindings
from app.integrations.forges.accounts import ForgeAccounts
from app.integrations.http import HttpClient
from app.integrations.identity.file import load as load_people
from app.integrations.identity.oidc.issuers import IssuerOptions, login_profile_of, profile_of
from app.integrations.identity.oidc.validator import HeldKeys, Validator, Validators
from app.integrations.identity.protocol import Tools
from app.integrations.policy.cedar import CedarPolicy
from app.integrations.policy.cedar import load as load_policies
from app.integrations.registry import (
    FORGES,
    forge_class,
    hint_reader,
    is_slow,
    sink_options,
    source_class,
    source_options,
    target_class,
    target_options,
)
from app.integrations.repositories.mirror import Mirror
from app.integrations.secrets.env import EnvSecrets
from app.integrations.secrets.file import FileSecrets
from app.integrations.secrets.protocol import Secret
from app.integrations.system import pause
from app.integrations.targets.protocol import Target
from app.observe import never_send
from app.pipeline.people.access_map import StoredAccessMap
from app.pipeline.ports.record import Recorder
from app.pipeline.ports.services import ForgeBinding, Guard, IssuerBinding, SourceBinding, SourceHooks
from app.pipeline.ports.stores.line import Store, Unit
from app.settings import Settings, environ

KINDS = Kinds(frozenset(FORGES), target_options, source_options, IssuerOptions, sink_options)
SOURCE_TIMEOUT = 5.0  # seconds
TELL_EVERY = 1.0  # seconds between two tries while the database is away

_log = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")
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


@dataclass(frozen=True, slots=True)
class Memory:
    """What the guard remembers by. `keys` of issuers are held from version to version."""

    store: Store
    ids: Ids
    keys: HeldKeys = field(default_factory=dict)


def load_guard(
    settings: Settings, clock: Clock, memory: Memory, on_read: Callable[[Configuration], None] = lambda _: None
) -> tuple[Configuration, Guard]:
    """Load and check everything that the gate goes by; raises BadConfiguration with every fault.

    `on_read` is told of tidegate.toml before the files that it names are read.
    """
    configuration = load_configuration(settings.config, KINDS)
    on_read(configuration)
    faults: list[str] = []
    path = configuration.people
    people = _or_faults(faults, lambda: load_people(path)) if path else None
    policies = _or_faults(faults, lambda: load_policies(configuration.policies))
    if faults or policies is None:
        raise BadConfiguration(faults)
    access_map = StoredAccessMap(
        memory.store,
        clock,
        memory.ids,
        rules=configuration.rules(),
        people=people,
        linking_forges=frozenset(name for name, forge in configuration.forges.items() if forge.link_by_login),
    )
    return configuration, _with_issuers(
        _guard(settings, clock, configuration, access_map, policies), configuration, clock, memory
    )


def _or_faults(faults: list[str], load: Callable[[], Loaded]) -> Loaded | None:
    try:
        return load()
    except BadConfiguration as fault:
        faults += fault.faults
        return None


def _guard(
    settings: Settings, clock: Clock, configuration: Configuration, access_map: StoredAccessMap, policies: CedarPolicy
) -> Guard:
    state = settings.state_dir.resolve()
    forges = configuration.forges
    return Guard(
        digest=".".join([configuration.digest, *([access_map.people.digest] if access_map.people else []), policies.digest]),
        environments=tuple(replace(e, is_slow=_is_slow(configuration, e)) for e in configuration.environments),
        forges={name: _binding(forge) for name, forge in forges.items()},
        target_zones={name: target.zone for name, target in configuration.targets.items()},
        targets={name: _target(target, state, clock) for name, target in configuration.targets.items()},
        identity=access_map,
        sources={name: _source(source, clock) for name, source in configuration.sources.items()},
        policy=policies,
        repositories=Mirror(
            state / "mirrors",
            lambda key: clone_url(forges, key),
            lambda key: _token(forges, key),
            environ=environ(),
        ),
        sinks=sink_bindings(configuration.sinks, clock, secret),
    )


def _with_issuers(guard: Guard, configuration: Configuration, clock: Clock, memory: Memory) -> Guard:
    options = {name: _options(issuer) for name, issuer in configuration.issuers.items()}
    profiles = {name: profile_of(name, each) for name, each in options.items()}
    tokens = Validators(list(profiles.values()), clock=clock, keys=memory.keys)
    places = {name: (profile.issuer, profile.jwks_url) for name, profile in profiles.items()}
    for place in set(memory.keys) - set(places.values()):
        del memory.keys[place]  # its issuer has left the configuration

    def bound(name: str) -> IssuerBinding:
        keys, login = memory.keys[places[name]], login_profile_of(name, options[name])
        return IssuerBinding(
            url=options[name].issuer,
            is_access_proxy=options[name].kind == "cloudflare_access",
            client=options[name],
            tokens=Validator(profiles[name], keys, clock),
            logins=Validator(login, keys, clock) if login else None,
            rule=configuration.issuers[name].rule,
        )

    issuers = {name: bound(name) for name in options}
    return replace(guard, issuers=issuers, tokens=tokens, access_issuer=configuration.access_issuer)


def _options(issuer: IssuerSettings) -> IssuerOptions:
    options = issuer.options
    assert isinstance(options, IssuerOptions)
    return options


def _source(source: SourceSettings, clock: Clock) -> SourceBinding:
    options, kind = source.options, source.rule.kind
    client = HttpClient(connect_timeout=SOURCE_TIMEOUT, read_timeout=4 * SOURCE_TIMEOUT)
    tools = Tools(secret=secret, clock=clock, pause=pause, client=client)
    reference = options.model_dump().get("events_secret")
    notices = None
    if reference is not None:
        module = hint_reader(kind)
        notices = SourceHooks(lambda: secret(reference).reveal(), module.parse, module.challenge_answer)
    return SourceBinding(source.rule, options, lambda: source_class(kind)(options, tools), notices)


def _is_slow(configuration: Configuration, environment: Environment) -> bool:
    targets = [configuration.targets[name] for name in environment.targets]
    return any(is_slow(target.kind, target.pool) for target in targets)


def _binding(forge: ForgeSettings) -> ForgeBinding:
    def read(references: tuple[str, ...]) -> list[bytes]:
        return [secret(r).reveal() for r in references]

    return ForgeBinding(
        forge_class(forge.kind)(),
        lambda: read(forge.webhook_secrets),
        ForgeAccounts(forge.name, forge.url),
        forge.access_issuer,
        (lambda: read(forge.decide_secrets)) if forge.decide_secrets else None,
    )


def _target(target: TargetSettings, state: Path, clock: Clock) -> Target:
    options = target_options(target.kind)(**target.options)
    made: Target = target_class(target.kind)(target.name, options, state_dir=state / "targets", clock=clock, secret=secret)
    return made


def secret(reference: str) -> Secret:
    """Resolve `env:NAME` or `file:/path`; raises SecretUnavailable."""
    kind, _, rest = reference.partition(":")
    store = FileSecrets() if kind == "file" else EnvSecrets(environ())
    found = store.get(rest)
    never_send(found.reveal())
    return found


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
