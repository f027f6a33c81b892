"""The sinks of tidegate.toml: who is told what of which environments. Part of `config/load.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from app.config.tables import File, SinkTable
from app.toml_lines import Where


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """A sink as configured, with its kind's own options, already validated. Without environments it is told of all."""

    kind: str
    events: tuple[str, ...]
    environments: frozenset[str]
    options: BaseModel


def dangling_sinks(file: File) -> Iterator[tuple[Where, str]]:
    """Find environments that are named and not there."""
    known = {environment.name for environment in file.environments}
    for name, sink in file.sinks.items():
        for index, environment in enumerate(sink.environments or ()):
            if environment not in known:
                yield ("sinks", name, "environments", index), f"there is no environment {environment!r}"


def sink_settings(table: SinkTable, options: type[BaseModel]) -> SinkSettings:
    """Make the settings of a table that was checked."""
    own = options.model_validate(table.model_extra or {})
    return SinkSettings(table.kind, tuple(table.events), frozenset(table.environments or ()), own)
