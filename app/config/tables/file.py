"""The whole of tidegate.toml, as written. A new table is one file beside this one, and one line here."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from app.config.tables.environments import EnvironmentTable
from app.config.tables.fields import Name, Table
from app.config.tables.forges import ForgeTable
from app.config.tables.identity import SourceTable
from app.config.tables.issuers import IssuerTable
from app.config.tables.sinks import SinkTable
from app.config.tables.targets import TargetTable, ZoneTable


class File(Table):
    """The whole file."""

    people: Path | None = None
    policies: Path = Path("policies")
    access_issuer: str | None = None
    identity: dict[Name, SourceTable] = Field(default_factory=dict)
    issuers: dict[Name, IssuerTable] = Field(default_factory=dict)
    forges: dict[Name, ForgeTable] = Field(min_length=1)
    zones: dict[Name, ZoneTable] = Field(min_length=1)
    targets: dict[Name, TargetTable] = Field(min_length=1)
    environments: list[EnvironmentTable] = Field(min_length=1)
    sinks: dict[Name, SinkTable] = Field(default_factory=dict)
