"""Read tidegate.toml into the domain's values, or list every fault with file and line."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from app.config.sinks import SinkSettings, dangling_sinks, sink_settings
from app.config.tables import ApprovalsTable, EnvironmentTable, File, ForgeTable, IssuerTable, SourceTable, TargetTable
from app.domain.access import SourceKind, SourceRule
from app.domain.approval import ApprovalRule, ApprovalSettings
from app.domain.environment import Environment, HealthCheck, TargetSettings, Zone
from app.domain.errors import BadConfiguration
from app.settings import Settings
from app.toml_lines import Where, bad_places, line_of, lines_of

FILE = SourceKind.FILE.value
_MAX_AGE = {"okta": 3600.0, "aws_iam": 7200.0}  # of what is read; what speaks by itself holds until it says otherwise
_REFRESH = {"okta": 300.0, "aws_iam": 900.0}


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
    decide_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """An identity source as configured: how it is listened to, and its kind's own options, already validated."""

    rule: SourceRule
    options: BaseModel


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """An issuer as configured: its own options, already validated; `rule` where its sign-ins are a source of people."""

    options: BaseModel
    rule: SourceRule | None


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
    issuers: Mapping[str, IssuerSettings] = field(default_factory=dict)
    access_issuer: str | None = None
    sinks: Mapping[str, SinkSettings] = field(default_factory=dict)

    def rules(self) -> dict[str, SourceRule]:
        """List how each source is listened to, people.toml and issuers that are sources among them."""
        file = {} if self.people is None else {FILE: SourceRule(FILE, SourceKind.FILE)}
        issuers = {name: issuer.rule for name, issuer in self.issuers.items() if issuer.rule is not None}
        return file | issuers | {name: source.rule for name, source in self.sources.items()}


def unwise(settings: Settings) -> list[str]:
    """List what of the settings is allowed and not wise."""
    if settings.public_url.scheme == "https" and not settings.proxies:
        return ["TIDEGATE_TRUSTED_PROXIES: is not set: behind a proxy that ends TLS everybody shares its address, and its limit"]
    return []


OptionsOf = Callable[[str], type[BaseModel]]

Fault = tuple[Where, str]


@dataclass(frozen=True, slots=True)
class Kinds:
    """Which kinds there are. The functions give the pydantic model of a kind's own keys, or raise BadConfiguration."""

    forges: frozenset[str]
    target_options: OptionsOf
    source_options: OptionsOf
    issuer_options: type[BaseModel]
    sink_options: OptionsOf


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
        file = File.model_validate(data)
    except ValidationError as fault:
        raise located([(e["loc"], e["msg"].removeprefix("Value error, ")) for e in fault.errors()]) from None
    faults = [
        *_dangling(file, kinds.forges),
        *_dangling_issuers(file),
        *dangling_sinks(file),
        *_unfit("targets", {n: (t, t.kind) for n, t in file.targets.items()}, kinds.target_options),
        *_unfit("identity", {n: (s, s.kind) for n, s in file.identity.items()}, kinds.source_options),
        *_unfit("issuers", {n: (i, "") for n, i in file.issuers.items()}, lambda _: kinds.issuer_options),
        *_unfit("sinks", {n: (s, s.kind) for n, s in file.sinks.items()}, kinds.sink_options),
    ]
    if faults:
        raise located(faults)
    return _configuration(file, path, text, kinds)


def _syntax_fault(path: Path, fault: Exception) -> str:
    found = re.search(r"\(at line (\d+)", str(fault))
    return f"{path}:{found[1] if found else 1}: not TOML: {fault}"


def _dangling(file: File, forge_kinds: frozenset[str]) -> Iterator[Fault]:
    """Find names that refer to nothing, and environments that share a name."""
    for name, forge in file.forges.items():
        if forge.kind not in forge_kinds:
            yield ("forges", name, "kind"), f"unknown kind {forge.kind!r}; known: {', '.join(sorted(forge_kinds))}"
        if name in ("os", "tidegate", "person"):
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


def _dangling_environments(file: File) -> Iterator[Fault]:
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


def _dangling_issuers(file: File) -> Iterator[Fault]:
    """Find issuers that are named and not there, that take each other's tokens, or that share a name with a source."""
    named: list[tuple[Where, str | None]] = [(("access_issuer",), file.access_issuer)]
    named += [(("forges", name, "access_issuer"), forge.access_issuer) for name, forge in file.forges.items()]
    for where, issuer in named:
        if issuer is not None and issuer not in file.issuers:
            yield where, f"there is no issuer {issuer!r}"
    seen: dict[tuple[str, str], str] = {}
    for name, table in file.issuers.items():
        if table.max_age is not None and (name == FILE or name in file.identity):
            yield ("issuers", name, "max_age"), "makes it a source of people, and there is another one of this name"
        options = table.model_extra or {}
        other = seen.setdefault((str(options.get("issuer")), str(options.get("audience"))), name)
        if other != name:
            yield ("issuers", name), f"has the issuer and audience of {other!r}"
    yield from _mistakable_tokens(file)


def _mistakable_tokens(file: File) -> Iterator[Fault]:
    """Find audiences that are clients of the same issuer: ID tokens are for those, and would open the API as bearers.

    A user pool of Cognito knows no audience but its clients; there `token_use` tells the tokens apart.
    """
    options = {name: table.model_extra or {} for name, table in file.issuers.items()}
    clients = {(o.get("issuer"), str(o["client_id"])): name for name, o in options.items() if "client_id" in o}
    for name, own in options.items():
        where: Where = ("issuers", name, "audience")
        if own.get("kind") != "cognito" and "client_id" in own and own.get("audience") == own["client_id"]:
            yield where, "is the client_id too, so whoever has an ID token could call the API with it: choose another one"
        elif (other := clients.get((own.get("issuer"), str(own.get("audience"))), name)) != name:
            yield where, f"is the client_id of {other!r}, so its ID tokens would open the API: choose another one"


def _unfit(table: str, entries: Mapping[str, tuple[BaseModel, str]], options_of: OptionsOf) -> Iterator[Fault]:
    """Find entries (each with its kind) whose own keys their kind does not take."""
    for name, (entry, kind) in entries.items():
        try:
            options_of(kind).model_validate(entry.model_extra or {})
        except BadConfiguration as fault:
            yield (table, name, "kind"), str(fault)
        except ValidationError as fault:
            for error in fault.errors():
                yield (table, name, *error["loc"]), error["msg"].removeprefix("Value error, ")


def _configuration(file: File, path: Path, text: str, kinds: Kinds) -> Configuration:
    zones = {name: Zone(name, zone.kind, zone.region) for name, zone in file.zones.items()}

    def options(target: TargetTable) -> dict[str, Any]:
        return kinds.target_options(target.kind).model_validate(target.model_extra or {}).model_dump()

    has_source = bool(file.identity) or any(issuer.max_age for issuer in file.issuers.values())
    people = file.people or (None if has_source else Path("people.toml"))
    return Configuration(
        digest=hashlib.sha256(text.encode()).hexdigest(),
        forges={name: _forge(name, forge) for name, forge in file.forges.items()},
        zones=zones,
        targets={n: TargetSettings(n, t.kind, zones[t.zone], options(t), t.pool) for n, t in file.targets.items()},
        environments=tuple(_environment(e) for e in file.environments),
        sources={name: _source(name, source, kinds.source_options) for name, source in file.identity.items()},
        people=path.parent / people if people else None,
        policies=path.parent / file.policies,
        issuers={name: _issuer(name, issuer, kinds) for name, issuer in file.issuers.items()},
        access_issuer=file.access_issuer,
        sinks={name: sink_settings(sink, kinds.sink_options(sink.kind)) for name, sink in file.sinks.items()},
    )


def _forge(name: str, table: ForgeTable) -> ForgeSettings:
    return ForgeSettings(
        name=name,
        kind=table.kind,
        url=table.url,
        clone=table.clone,
        webhook_secrets=tuple(table.webhook_secrets),
        api_token=table.api_token,
        link_by_login=table.link_by_login,
        access_issuer=table.access_issuer,
        decide_secrets=tuple(table.decide_secrets or ()),
    )


def _source(name: str, table: SourceTable, options_of: OptionsOf) -> SourceSettings:
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


def _issuer(name: str, table: IssuerTable, kinds: Kinds) -> IssuerSettings:
    rule = SourceRule(name, SourceKind.OIDC, timedelta(seconds=table.max_age)) if table.max_age else None
    return IssuerSettings(kinds.issuer_options.model_validate(table.model_extra or {}), rule)


def _environment(table: EnvironmentTable) -> Environment:
    health = HealthCheck(table.health.url, table.health.within) if table.health else None
    return Environment(
        name=table.name,
        repository=table.repository,
        repository_id=table.repository_id,
        deploys=tuple(table.deploys),
        targets=tuple(table.targets),
        audience=table.audience,
        health=health,
        time_zone=table.time_zone,
        approvals=_approvals(table.approvals),
    )


def _approvals(table: ApprovalsTable) -> ApprovalSettings:
    return ApprovalSettings(
        rules=tuple(ApprovalRule(rule.count, frozenset(rule.groups)) for rule in table.rules),
        within=timedelta(seconds=table.within),
        session=timedelta(seconds=table.session),
        count_each=table.count_each,
    )
