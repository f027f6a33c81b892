"""`[identity.NAME]`: the sources of people and groups, beside people.toml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel

from app.config.tables.fields import Fault, OpenTable, Seconds
from app.domain.access import SourceKind, SourceRule

FILE = SourceKind.FILE.value  # the source behind people.toml
_MAX_AGE = {"okta": 3600.0, "aws_iam": 7200.0}  # of sources that are read; a source that pushes holds until it says otherwise
_REFRESH = {"okta": 300.0, "aws_iam": 900.0}


class SourceTable(OpenTable):
    """`[identity.NAME]`; further keys are the kind's own."""

    kind: str
    max_age: Seconds | None = None
    refresh: Seconds | None = None
    reconcile: Seconds = 21_600.0


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """An identity source as configured: its rule, and its kind's own options, already validated."""

    rule: SourceRule
    options: BaseModel


def source_faults(sources: Mapping[str, SourceTable]) -> Iterator[Fault]:
    """Find names that are reserved, and sources that shall be read but cannot be."""
    for name, source in sources.items():
        if name == FILE:
            yield ("identity", name), "this name is reserved for people.toml"
        if source.refresh is not None and source.kind not in _REFRESH:
            yield ("identity", name, "refresh"), f"a {source.kind} source pushes its changes and is not read"


def source_settings(name: str, table: SourceTable, options: type[BaseModel]) -> SourceSettings:
    """Make the settings from a checked table."""
    kind = SourceKind(table.kind)
    refresh, max_age = table.refresh or _REFRESH.get(kind), table.max_age or _MAX_AGE.get(kind)
    rule = SourceRule(
        name=name,
        kind=kind,
        max_age=timedelta(seconds=max_age) if max_age else None,
        refresh=timedelta(seconds=refresh) if refresh else None,
        reconcile=timedelta(seconds=table.reconcile) if refresh else None,
    )
    return SourceSettings(rule, table.options(options))
