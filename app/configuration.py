"""Read tidegate.toml into the domain's values, or list every fault with file and line."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.domain.access import SourceKind, SourceRule
from app.domain.environment import Environment, HealthCheck, TargetSettings, Zone
from app.domain.errors import BadConfiguration
from app.toml_lines import Where, bad_places, line_of, lines_of

_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_DURATION = re.compile(r"\A(\d+(?:\.\d+)?)(ms|s|m|h)\Z")
FILE = SourceKind.FILE.value
_MAX_AGE = {"okta": 3600.0, "aws_iam": 7200.0}  # of what is read; what speaks by itself holds until it says otherwise
_REFRESH = {"okta": 300.0, "aws_iam": 900.0}
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class ForgeSettings:
    """A forge as configured. Secrets are references; `clone` is a template with {url} and {repository}."""

    name: str
    kind: str
    url: str
    clone: str
    webhook_secrets: tuple[str, ...]
    api_token: str | None
    link_by_login: bool = False
    access_issuer: str | None = None


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """An identity source as configured: how it is listened to, and its kind's own options, already validated."""

    rule: SourceRule
    options: BaseModel


@dataclass(frozen=True, slots=True)
class Configuration:
    """One version of tidegate.toml, checked."""

    digest: str
    forges: Mapping[str, ForgeSettings]
    zones: Mapping[str, Zone]
    targets: Mapping[str, TargetSettings]
    environments: tuple[Environment, ...]
    sources: Mapping[str, SourceSettings]
    people: Path | None
    policies: Path

    def rules(self) -> dict[str, SourceRule]:
        """List how each source is listened to, people.toml among them."""
        file = {} if self.people is None else {FILE: SourceRule(FILE, SourceKind.FILE)}
        return file | {name: source.rule for name, source in self.sources.items()}


def _seconds(value: object) -> object:
    """Read `60s`, `2m`, `500ms` or a number as seconds."""
    found = _DURATION.match(value) if isinstance(value, str) else None
    return float(found[1]) * _UNITS[found[2]] if found else value


def _reference(value: str) -> str:
    kind, _, rest = value.partition(":")
    if kind not in ("env", "file") or not rest:
        raise ValueError('must be a reference, "env:NAME" or "file:PATH": no secret stands in this file')
    return value


def _clone(value: str) -> str:
    try:
        fields = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
    except ValueError:
        fields = {""}
    if not fields <= {"url", "repository"}:
        raise ValueError("may name {url} and {repository}, and no other field")
    return value


def _pattern(value: str) -> str:
    kind, _, glob = value.partition(":")
    if value != "release" and (kind not in ("branch", "tag") or not glob):
        raise ValueError('must be "branch:GLOB", "tag:GLOB" or "release"')
    return value


Name = Annotated[str, Field(pattern=_NAME)]
Reference = Annotated[str, AfterValidator(_reference)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=86_400)]
Clone = Annotated[str, AfterValidator(_clone)]
Url = Annotated[str, Field(pattern=r"^(https?|ssh|file)://\S+$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Forge(_Table):
    kind: str
    url: Url
    clone: Clone = "{url}/{repository}.git"
    webhook_secrets: list[Reference] = Field(min_length=1)
    api_token: Reference | None = None
    link_by_login: bool = False
    access_issuer: str | None = None


class _Source(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str
    max_age: Seconds | None = None
    refresh: Seconds | None = None
    reconcile: Seconds = 21_600.0


class _Zone(_Table):
    kind: Literal["compute", "storage"]
    region: str = Field(min_length=1)


class _Target(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str
    zone: str
    pool: Literal["fast", "slow"] | None = None


class _Health(_Table):
    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    within: Seconds = 60.0


class _Environment(_Table):
    name: Name
    repository: Annotated[str, Field(pattern=r"^[a-z0-9-]+:[^/\s]+/[^/\s]+$")]
    repository_id: int | None = Field(None, gt=0)
    deploys: list[Pattern] = Field(min_length=1)
    targets: list[str] = Field(min_length=1)
    audience: str = Field(min_length=1)
    health: _Health | None = None


class _File(_Table):
    people: Path | None = None
    policies: Path = Path("policies")
    identity: dict[Name, _Source] = {}
    forges: dict[Name, _Forge] = Field(min_length=1)
    zones: dict[Name, _Zone] = Field(min_length=1)
    targets: dict[Name, _Target] = Field(min_length=1)
    environments: list[_Environment] = Field(min_length=1)


OptionsOf = Callable[[str], type[BaseModel]]

Fault = tuple[Where, str]


@dataclass(frozen=True, slots=True)
class Kinds:
    """Which kinds there are. The functions give the pydantic model of a kind's own keys, or raise BadConfiguration."""

    forges: frozenset[str]
    target_options: OptionsOf
    source_options: OptionsOf


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

    def located(faults: list[Fault]) -> BadConfiguration:
        told = [(line_of(lines, where), ".".join(map(str, where)), what) for where, what in faults]
        return BadConfiguration([f"{path}:{line}: {where}: {what}" for line, where, what in sorted(told)])

    if bad := list(bad_places(data)):
        raise located(bad)
    try:
        file = _File.model_validate(data)
    except ValidationError as fault:
        raise located([(e["loc"], e["msg"].removeprefix("Value error, ")) for e in fault.errors()]) from None
    faults = [
        *_dangling(file, kinds.forges),
        *_unfit("targets", file.targets, kinds.target_options),
        *_unfit("identity", file.identity, kinds.source_options),
    ]
    if faults:
        raise located(faults)
    return _configuration(file, path, text, kinds)


def _syntax_fault(path: Path, fault: Exception) -> str:
    found = re.search(r"\(at line (\d+)", str(fault))
    return f"{path}:{found[1] if found else 1}: not TOML: {fault}"


def _dangling(file: _File, forge_kinds: frozenset[str]) -> Iterator[Fault]:
    """Find names that refer to nothing, and environments that share a name."""
    for name, forge in file.forges.items():
        if forge.kind not in forge_kinds:
            yield ("forges", name, "kind"), f"unknown kind {forge.kind!r}; known: {', '.join(sorted(forge_kinds))}"
        if name in ("os", "tidegate"):
            yield ("forges", name), "this name is taken by the gate itself"
    for name, source in file.identity.items():
        if name == FILE:
            yield ("identity", name), "this name is taken by people.toml"
        if source.refresh is not None and source.kind not in _REFRESH:
            yield ("identity", name, "refresh"), f"a {source.kind} source speaks by itself and is not read"
    for name, target in file.targets.items():
        if target.zone not in file.zones:
            yield ("targets", name, "zone"), f"there is no zone {target.zone!r}"
    yield from _dangling_environments(file)


def _dangling_environments(file: _File) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, environment in enumerate(file.environments):
        where: Where = ("environments", index)
        if environment.name in seen:
            yield (*where, "name"), f"a second environment {environment.name!r}"
        seen.add(environment.name)
        if environment.repository.partition(":")[0] not in file.forges:
            yield (*where, "repository"), "names no configured forge"
        for target_name in environment.targets:
            if target_name not in file.targets:
                yield (*where, "targets"), f"there is no target {target_name!r}"
        if len(set(environment.targets)) != len(environment.targets):
            yield (*where, "targets"), "names a target twice"


def _unfit(table: str, entries: Mapping[str, _Target] | Mapping[str, _Source], options_of: OptionsOf) -> Iterator[Fault]:
    """Find entries whose own keys their kind does not take."""
    for name, entry in entries.items():
        try:
            options_of(entry.kind).model_validate(entry.model_extra or {})
        except BadConfiguration as fault:
            yield (table, name, "kind"), str(fault)
        except ValidationError as fault:
            for error in fault.errors():
                yield (table, name, *error["loc"]), error["msg"].removeprefix("Value error, ")


def _configuration(file: _File, path: Path, text: str, kinds: Kinds) -> Configuration:
    zones = {name: Zone(name, zone.kind, zone.region) for name, zone in file.zones.items()}

    def options(target: _Target) -> dict[str, Any]:
        return kinds.target_options(target.kind).model_validate(target.model_extra or {}).model_dump()

    people = file.people or (None if file.identity else Path("people.toml"))
    return Configuration(
        digest=hashlib.sha256(text.encode()).hexdigest(),
        forges={name: _forge(name, forge) for name, forge in file.forges.items()},
        zones=zones,
        targets={n: TargetSettings(n, t.kind, zones[t.zone], options(t), t.pool) for n, t in file.targets.items()},
        environments=tuple(_environment(e) for e in file.environments),
        sources={name: _source(name, source, kinds.source_options) for name, source in file.identity.items()},
        people=path.parent / people if people else None,
        policies=path.parent / file.policies,
    )


def _forge(name: str, table: _Forge) -> ForgeSettings:
    return ForgeSettings(
        name=name,
        kind=table.kind,
        url=table.url,
        clone=table.clone,
        webhook_secrets=tuple(table.webhook_secrets),
        api_token=table.api_token,
        link_by_login=table.link_by_login,
        access_issuer=table.access_issuer,
    )


def _source(name: str, table: _Source, options_of: OptionsOf) -> SourceSettings:
    kind = SourceKind(table.kind)
    refresh, max_age = table.refresh or _REFRESH.get(kind), table.max_age or _MAX_AGE.get(kind)
    rule = SourceRule(
        name=name,
        kind=kind,
        max_age=timedelta(seconds=max_age) if max_age else None,
        refresh=timedelta(seconds=refresh) if refresh else None,
        reconcile=timedelta(seconds=table.reconcile) if refresh else None,
    )
    return SourceSettings(rule, options_of(table.kind).model_validate(table.model_extra or {}))


def _environment(table: _Environment) -> Environment:
    health = HealthCheck(table.health.url, table.health.within) if table.health else None
    return Environment(
        name=table.name,
        repository=table.repository,
        repository_id=table.repository_id,
        deploys=tuple(table.deploys),
        targets=tuple(table.targets),
        audience=table.audience,
        health=health,
    )
