"""The tables of tidegate.toml as they are written: their keys, and what a value must look like. Read by `config/load.py`."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from app.domain.errors import BadRequest
from app.domain.local_time import time_zone

_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_DURATION = re.compile(r"\A(\d+(?:\.\d+)?)(ms|s|m|h)\Z")
_EVENT = re.compile(r"[a-z][a-z-]*:(?:[a-z][a-z-]*|\*)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


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


def _time_zone(value: str) -> str:
    try:
        time_zone(value)
    except BadRequest as fault:
        raise ValueError(str(fault)) from None
    return value


def _event(value: str) -> str:
    if not _EVENT.fullmatch(value):
        raise ValueError('must be "SUBJECT:VERB" or "SUBJECT:*", such as "deployment:held"')
    return value


Name = Annotated[str, Field(pattern=_NAME)]
Reference = Annotated[str, AfterValidator(_reference)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Action = Annotated[str, AfterValidator(_event)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=86_400)]
Clone = Annotated[str, AfterValidator(_clone)]
TimeZone = Annotated[str, AfterValidator(_time_zone)]
Url = Annotated[str, Field(pattern=r"^(https?|ssh|file)://\S+$")]


class Table(BaseModel):
    """A table whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ForgeTable(Table):
    """`[forges.NAME]`."""

    kind: str
    url: Url
    clone: Clone = "{url}/{repository}.git"
    webhook_secrets: list[Reference] = Field(min_length=1)
    api_token: Reference | None = None
    decide_secrets: list[Reference] | None = Field(None, min_length=1)
    link_by_login: bool = False
    access_issuer: str | None = None


class SourceTable(BaseModel):
    """`[identity.NAME]`; further keys are the kind's own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str
    max_age: Seconds | None = None
    refresh: Seconds | None = None
    reconcile: Seconds = 21_600.0


class IssuerTable(BaseModel):
    """`[issuers.NAME]`; with `max_age` whoever signs in is also known by it, that long. Further keys are the issuer's own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    max_age: Seconds | None = None


class ZoneTable(Table):
    """`[zones.NAME]`."""

    kind: Literal["compute", "storage"]
    region: str = Field(min_length=1)


class TargetTable(BaseModel):
    """`[targets.NAME]`; further keys are the kind's own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str
    zone: str
    pool: Literal["fast", "slow"] | None = None


class SinkTable(BaseModel):
    """`[sinks.NAME]`; further keys are the kind's own."""

    model_config = ConfigDict(extra="allow", frozen=True)
    kind: str
    events: list[Action] = Field(min_length=1)
    environments: list[str] | None = Field(None, min_length=1)


class HealthTable(Table):
    """`health` of an environment."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    within: Seconds = 60.0


class RuleTable(Table):
    """One of `rules` of `[environments.approvals]`."""

    count: int = Field(1, gt=0, le=50)
    groups: list[str] = []


class ApprovalsTable(Table):
    """`[environments.approvals]`."""

    rules: Annotated[list[RuleTable], Field(max_length=20)] = []
    within: Seconds = 3600.0
    session: Seconds = 3600.0
    count_each: bool = False


class EnvironmentTable(Table):
    """`[[environments]]`."""

    name: Name
    repository: Annotated[str, Field(pattern=r"^[a-z0-9-]+:[^/\s]+/[^/\s]+$")]
    repository_id: int | None = Field(None, gt=0)
    deploys: list[Pattern] = Field(min_length=1)
    targets: list[str] = Field(min_length=1)
    audience: str = Field(min_length=1)
    health: HealthTable | None = None
    approvals: ApprovalsTable = ApprovalsTable()
    time_zone: TimeZone = "UTC"


class File(Table):
    """The whole file."""

    people: Path | None = None
    policies: Path = Path("policies")
    access_issuer: str | None = None
    identity: dict[Name, SourceTable] = {}
    issuers: dict[Name, IssuerTable] = {}
    forges: dict[Name, ForgeTable] = Field(min_length=1)
    zones: dict[Name, ZoneTable] = Field(min_length=1)
    targets: dict[Name, TargetTable] = Field(min_length=1)
    environments: list[EnvironmentTable] = Field(min_length=1)
    sinks: dict[Name, SinkTable] = {}
