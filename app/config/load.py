"""Read tidegate.toml into the domain's values, or list every fault with file and line.

The content of a table: `tables/`. Faults between tables: `check.py`.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import ValidationError

from app.config.check import Kinds, faults_of
from app.config.doubts import doubts_of, slips_of
from app.config.tables.environments import environment_of
from app.config.tables.fields import Fault
from app.config.tables.file import File
from app.config.tables.forges import ForgeSettings, forge_settings
from app.config.tables.identity import FILE, SourceSettings, source_settings
from app.config.tables.issuers import IssuerSettings, issuer_settings
from app.config.tables.sinks import SinkSettings, sink_settings
from app.config.tables.targets import target_settings, zone_of
from app.domain.access import SourceKind, SourceRule
from app.domain.environment import Environment, TargetSettings, Zone
from app.domain.errors import BadConfiguration
from app.toml_lines import Slip, bad_places, line_of, lines_of


@dataclass(frozen=True, slots=True)
class Configuration:
    """One version of tidegate.toml, checked. `slips` are refused by `config check`; it only warns of `doubts`."""

    digest: str
    forges: Mapping[str, ForgeSettings]
    zones: Mapping[str, Zone]
    targets: Mapping[str, TargetSettings]
    environments: tuple[Environment, ...]
    sources: Mapping[str, SourceSettings]
    people: Path | None
    policies: Path
    issuers: Mapping[str, IssuerSettings] = field(default_factory=dict)
    access_issuer: str | None = None
    sinks: Mapping[str, SinkSettings] = field(default_factory=dict)
    slips: tuple[Slip, ...] = ()
    doubts: tuple[Slip, ...] = ()

    def rules(self) -> dict[str, SourceRule]:
        """Map each source to its rule, including people.toml and the issuers that are sources."""
        file = {} if self.people is None else {FILE: SourceRule(FILE, SourceKind.FILE)}
        issuers = {name: issuer.rule for name, issuer in self.issuers.items() if issuer.rule is not None}
        return file | issuers | {name: source.rule for name, source in self.sources.items()}


def load_configuration(path: Path, kinds: Kinds) -> Configuration:
    """Read and check `path`; raises BadConfiguration with every fault as `FILE:LINE: where: what`."""
    try:
        text = path.read_bytes().decode()
        data = tomllib.loads(text)
    except OSError as fault:
        raise BadConfiguration([f"{path}: cannot be read: {fault.strerror}; `tidegate up` writes an example"]) from None
    except (ValueError, RecursionError) as fault:  # not TOML, not UTF-8, nested too deep, or a number too long to read
        raise BadConfiguration([_syntax_fault(path, fault)]) from None
    lines = lines_of(text)

    def placed(faults: Iterable[Fault]) -> tuple[Slip, ...]:
        rows = sorted((line_of(lines, where), ".".join(map(str, where)), what) for where, what in faults)
        return tuple(Slip(f"{path}:{line}: {where}", what) for line, where, what in rows)

    def located(faults: list[Fault]) -> BadConfiguration:
        return BadConfiguration([str(fault) for fault in placed(faults)])

    if bad := list(bad_places(data)):
        raise located(bad)
    try:
        file = File.model_validate(data)
    except ValidationError as fault:
        raise located([(e["loc"], e["msg"].removeprefix("Value error, ")) for e in fault.errors()]) from None
    if faults := faults_of(file, kinds):
        raise located(faults)
    configuration = _configuration(file, path, text, kinds)
    slips, doubts = placed(slips_of(file, data)), placed(doubts_of(file, data, path.parent))
    return replace(configuration, slips=slips, doubts=doubts)


def _syntax_fault(path: Path, fault: Exception) -> str:
    match = re.search(r"\(at line (\d+)", str(fault))
    return f"{path}:{match[1] if match else 1}: not TOML: {fault}"


def _configuration(file: File, path: Path, text: str, kinds: Kinds) -> Configuration:
    zones = {name: zone_of(name, zone) for name, zone in file.zones.items()}
    people = _people_file(file)
    return Configuration(
        digest=hashlib.sha256(text.encode()).hexdigest(),
        forges={name: forge_settings(name, forge) for name, forge in file.forges.items()},
        zones=zones,
        targets={n: target_settings(n, t, kinds.target_options(t.kind), zones[t.zone]) for n, t in file.targets.items()},
        environments=tuple(environment_of(environment) for environment in file.environments),
        sources={n: source_settings(n, s, kinds.source_options(s.kind)) for n, s in file.identity.items()},
        people=path.parent / people if people else None,
        policies=path.parent / file.policies,
        issuers={name: issuer_settings(name, issuer, kinds.issuer_options) for name, issuer in file.issuers.items()},
        access_issuer=file.access_issuer,
        sinks={name: sink_settings(sink, kinds.sink_options(sink.kind)) for name, sink in file.sinks.items()},
    )


def _people_file(file: File) -> Path | None:
    """Return people.toml even if it is not named, unless there is another source of people."""
    has_source = bool(file.identity) or any(issuer.max_age for issuer in file.issuers.values())
    return file.people or (None if has_source else Path("people.toml"))
