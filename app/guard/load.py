"""Read tidegate.toml, people and policies as one version, or list every fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TypeVar

from app.config.check import Kinds
from app.config.load import Configuration, load_configuration
from app.domain.clock import Clock, Ids
from app.domain.environment import Environment
from app.domain.errors import BadConfiguration
from app.guard.bind import bind_forge, bind_issuers, bind_sink, bind_source, git_limits, make_mirror, make_target, number_of
from app.integrations.identity.file import FilePeople
from app.integrations.identity.file import load as load_people
from app.integrations.identity.oidc.issuers import IssuerOptions
from app.integrations.identity.oidc.validator import HeldKeys
from app.integrations.policy.cedar import load as load_policies
from app.integrations.policy.protocol import Policy
from app.integrations.registry import FORGES, SINKS, SOURCES, TARGETS, is_slow
from app.integrations.repositories.turns import Turns, in_turns
from app.pipeline.people.access_map import StoredAccessMap
from app.pipeline.ports.services import Guard
from app.pipeline.ports.stores.unit import Store
from app.settings import Settings
from app.toml_lines import Slip

KINDS = Kinds(FORGES.kinds, TARGETS.options, SOURCES.options, IssuerOptions, SINKS.options)

Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True)
class Memory:
    """State that outlives one version of the guard: the `keys` of issuers, and who asks about which repository."""

    store: Store
    ids: Ids
    keys: HeldKeys = field(default_factory=dict)
    turns: Turns = field(default_factory=lambda: Turns(1))


def load_guard(
    settings: Settings, clock: Clock, memory: Memory, on_read: Callable[[Configuration], None] = lambda _: None
) -> tuple[Configuration, Guard]:
    """Load and check all rules of the gate; raises BadConfiguration with every fault.

    `on_read` is called with tidegate.toml before the files that it names are read.
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
        linking_forges={name: number_of(forge) for name, forge in configuration.forges.items() if forge.link_by_login},
    )
    guard = _guard(settings, clock, configuration, access_map, policies, turns=memory.turns)
    issuers, tokens = bind_issuers(configuration, clock, memory.keys)
    return configuration, replace(guard, issuers=issuers, tokens=tokens, slips=_slips(configuration, people))


def _slips(configuration: Configuration, people: FilePeople | None) -> tuple[Slip, ...]:
    return (*configuration.slips, *(people.slips if people else ()))


def _or_faults(faults: list[str], load: Callable[[], Loaded]) -> Loaded | None:
    try:
        return load()
    except BadConfiguration as fault:
        faults += fault.faults
        return None


def _guard(
    settings: Settings,
    clock: Clock,
    configuration: Configuration,
    access_map: StoredAccessMap,
    policies: Policy,
    *,
    turns: Turns,
) -> Guard:
    state = settings.state_dir.resolve()
    forges = configuration.forges
    return Guard(
        digest=".".join([configuration.digest, *([access_map.people.digest] if access_map.people else []), policies.digest]),
        environments=tuple(replace(e, is_slow=_is_slow(configuration, e)) for e in configuration.environments),
        forges={name: bind_forge(forge) for name, forge in forges.items()},
        target_zones={name: target.zone for name, target in configuration.targets.items()},
        targets={name: make_target(target, state, clock) for name, target in configuration.targets.items()},
        identity=access_map,
        policy=policies,
        repositories=in_turns(make_mirror(forges, state, git_limits(settings)), turns),
        sources={name: bind_source(source, clock) for name, source in configuration.sources.items()},
        access_issuer=configuration.access_issuer,
        sinks={name: bind_sink(sink, clock) for name, sink in configuration.sinks.items()},
    )


def _is_slow(configuration: Configuration, environment: Environment) -> bool:
    targets = [configuration.targets[name] for name in environment.targets]
    return any(is_slow(target.kind, target.pool) for target in targets)
