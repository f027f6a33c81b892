"""Check tidegate.toml as a whole: the tables against each other, and each table's own keys against its kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from app.config.tables.environments import environment_faults
from app.config.tables.fields import Fault, OpenTable, OptionsOf
from app.config.tables.file import File
from app.config.tables.forges import forge_faults
from app.config.tables.identity import source_faults
from app.config.tables.issuers import issuer_faults
from app.config.tables.sinks import sink_faults
from app.config.tables.targets import target_faults
from app.domain.errors import BadConfiguration
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Kinds:
    """The kinds that exist. The functions return the pydantic model of a kind's own keys, or raise BadConfiguration."""

    forges: frozenset[str]
    target_options: OptionsOf
    source_options: OptionsOf
    issuer_options: type[BaseModel]
    sink_options: OptionsOf


def faults_of(file: File, kinds: Kinds) -> list[Fault]:
    """List every fault that a table on its own does not show."""
    return [
        *forge_faults(file.forges, kinds=kinds.forges, issuers=file.issuers),
        *source_faults(file.identity),
        *issuer_faults(file.issuers, sources=file.identity),
        *target_faults(file.targets, file.zones),
        *environment_faults(file.environments, forges=file.forges, targets=file.targets),
        *sink_faults(file.sinks, environments={environment.name for environment in file.environments}),
        *_access_issuer_faults(file),
        *_option_faults("targets", {n: (t, t.kind) for n, t in file.targets.items()}, kinds.target_options),
        *_option_faults("identity", {n: (s, s.kind) for n, s in file.identity.items()}, kinds.source_options),
        *_option_faults("issuers", {n: (i, "") for n, i in file.issuers.items()}, lambda _: kinds.issuer_options),
        *_option_faults("sinks", {n: (s, s.kind) for n, s in file.sinks.items()}, kinds.sink_options),
    ]


def unwise(settings: Settings) -> list[str]:
    """List settings of the process that are allowed but risky."""
    is_https = settings.public_url.scheme == "https"
    warnings = []
    if is_https and not settings.proxies:
        told = "is not set: behind a proxy that ends TLS, all callers share its address and its limit"
        warnings.append(f"TIDEGATE_TRUSTED_PROXIES: {told}")
    if is_https and settings.metrics_token is None:
        told = "is not set: a proxy on this machine that adds no X-Forwarded-For shows /metrics to everybody"
        warnings.append(f"TIDEGATE_METRICS_TOKEN: {told}")
    if settings.hsts and not is_https:
        warnings.append("TIDEGATE_HSTS: has no effect, since TIDEGATE_PUBLIC_URL is not https")
    return warnings


def suggestions(settings: Settings) -> list[str]:
    """List settings that most installations should make, although nothing is wrong without them."""
    if not settings.keep_bodies:
        return [
            "TIDEGATE_KEEP_BODIES: is not set: bodies of deliveries hold names and e-mails, and are kept for ever; try 90 (days)"
        ]
    return []


def _access_issuer_faults(file: File) -> Iterator[Fault]:
    if file.access_issuer is not None and file.access_issuer not in file.issuers:
        yield ("access_issuer",), f"there is no issuer {file.access_issuer!r}"


def _option_faults(table: str, entries: Mapping[str, tuple[OpenTable, str]], options_of: OptionsOf) -> Iterator[Fault]:
    """Find entries (each with its kind) whose own keys their kind does not take."""
    for name, (entry, kind) in entries.items():
        try:
            entry.options(options_of(kind))
        except BadConfiguration as fault:
            yield (table, name, "kind"), str(fault)
        except ValidationError as fault:
            for error in fault.errors():
                yield (table, name, *error["loc"]), error["msg"].removeprefix("Value error, ")
