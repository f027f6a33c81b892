"""`[sinks.NAME]`: the receivers of notices, by event and environment."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pydantic import BaseModel, Field

from app.config.tables.fields import Action, Fault, OpenTable


class SinkTable(OpenTable):
    """`[sinks.NAME]`; further keys are the kind's own."""

    kind: str
    events: list[Action] = Field(min_length=1)
    environments: list[str] | None = Field(None, min_length=1)


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """A sink as configured, with its kind's own options, already validated. Without environments it gets notices of all."""

    kind: str
    events: tuple[str, ...]
    environments: frozenset[str]
    options: BaseModel


def sink_faults(sinks: Mapping[str, SinkTable], *, environments: Collection[str]) -> Iterator[Fault]:
    """Find names of environments that do not exist."""
    for name, sink in sinks.items():
        for index, environment in enumerate(sink.environments or ()):
            if environment not in environments:
                yield ("sinks", name, "environments", index), f"there is no environment {environment!r}"


def sink_settings(table: SinkTable, options: type[BaseModel]) -> SinkSettings:
    """Make the settings from a checked table."""
    return SinkSettings(table.kind, tuple(table.events), frozenset(table.environments or ()), table.options(options))
