"""`[zones.NAME]` and `[targets.NAME]`: the targets of deployments, and the zones that they are in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, Field

from app.config.tables.fields import Fault, OpenTable, Table
from app.domain.environment import TargetSettings, Zone


class ZoneTable(Table):
    """`[zones.NAME]`."""

    kind: Literal["compute", "storage"]
    region: str = Field(min_length=1)


class TargetTable(OpenTable):
    """`[targets.NAME]`; further keys are the kind's own."""

    kind: str
    zone: str
    pool: Literal["fast", "slow"] | None = None


def target_faults(targets: Mapping[str, TargetTable], zones: Mapping[str, ZoneTable]) -> Iterator[Fault]:
    """Find names of zones that do not exist."""
    for name, target in targets.items():
        if target.zone not in zones:
            yield ("targets", name, "zone"), f"there is no zone {target.zone!r}"


def zone_of(name: str, table: ZoneTable) -> Zone:
    """Make the zone from a table."""
    return Zone(name, table.kind, table.region)


def target_settings(name: str, table: TargetTable, options: type[BaseModel], zone: Zone) -> TargetSettings:
    """Make the settings from a checked table."""
    return TargetSettings(name, table.kind, zone, table.options(options).model_dump(), table.pool)
