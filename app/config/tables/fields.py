"""The form of single values in tidegate.toml, and the classes that all tables share."""

from __future__ import annotations

import re
from collections.abc import Callable
from string import Formatter
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from app.domain.errors import BadRequest
from app.domain.local_time import time_zone
from app.toml_lines import Where

_NAME = r"^[a-z0-9][a-z0-9-]{0,62}$"
_DURATION = re.compile(r"\A(\d+(?:\.\d+)?)(ms|s|m|h)\Z")
_NUMBER = re.compile(r"\A\d+(?:\.\d+)?\Z")
_EVENT = re.compile(r"[a-z][a-z-]*:(?:[a-z][a-z-]*|\*)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(value: object) -> object:
    """Read `60s`, `2m`, `500ms` or a number as seconds."""
    if not isinstance(value, str):
        return value
    if match := _DURATION.match(value):
        return float(match[1]) * _UNITS[match[2]]
    if not _NUMBER.match(value):
        raise ValueError(f'{value[:40]!r} is not a time: write seconds, or a number with ms, s, m or h, such as "90s" or "2h"')
    return value


def _reference(value: str) -> str:
    kind, _, rest = value.partition(":")
    if kind not in ("env", "file") or not rest:
        raise ValueError('must be a reference, "env:NAME" or "file:PATH": this file holds no secrets')
    return value


def _clone(value: str) -> str:
    try:
        fields = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
    except ValueError:
        fields = {""}
    if not fields <= {"url", "repository"}:
        raise ValueError("may use the fields {url} and {repository}, and no others")
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


Fault = tuple[Where, str]
OptionsOf = Callable[[str], type[BaseModel]]
Options = TypeVar("Options", bound=BaseModel)


class Table(BaseModel):
    """A table whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenTable(BaseModel):
    """A table with further keys, which its kind defines."""

    model_config = ConfigDict(extra="allow", frozen=True)

    def options(self, model: type[Options]) -> Options:
        """Read the further keys; raises ValidationError."""
        return model.model_validate(self.model_extra or {})
