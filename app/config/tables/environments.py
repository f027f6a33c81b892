"""`[[environments]]`: refs of a repository, the targets that they are deployed to, and the approvals."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from app.config.tables.fields import Fault, Name, Pattern, Seconds, Table, TimeZone
from app.domain.approval import ApprovalRule, ApprovalSettings
from app.domain.environment import Environment, HealthCheck
from app.toml_lines import Where


class HealthTable(Table):
    """`health` of an environment."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")]
    within: Seconds = 60.0


class RuleTable(Table):
    """One of `rules` of `[environments.approvals]`."""

    count: int = Field(1, gt=0, le=50)
    groups: list[str] = Field(default_factory=list)


class ApprovalsTable(Table):
    """`[environments.approvals]`."""

    rules: list[RuleTable] = Field(default_factory=list, max_length=20)
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


def environment_faults(
    environments: Sequence[EnvironmentTable], *, forges: Collection[str], targets: Collection[str]
) -> Iterator[Fault]:
    """Find environments that share a name, and names of forges and targets that do not exist."""
    seen: set[str] = set()
    for index, environment in enumerate(environments):
        where: Where = ("environments", index)
        if environment.name in seen:
            yield (*where, "name"), f"a second environment {environment.name!r}"
        seen.add(environment.name)
        if environment.repository.partition(":")[0] not in forges:
            yield (*where, "repository"), "names no configured forge"
        for target_name in environment.targets:
            if target_name not in targets:
                yield (*where, "targets"), f"there is no target {target_name!r}"
        if len(set(environment.targets)) != len(environment.targets):
            yield (*where, "targets"), "names a target twice"


def environment_of(table: EnvironmentTable) -> Environment:
    """Make the environment from a checked table."""
    return Environment(
        name=table.name,
        repository=table.repository,
        repository_id=table.repository_id,
        deploys=tuple(table.deploys),
        targets=tuple(table.targets),
        audience=table.audience,
        health=HealthCheck(table.health.url, table.health.within) if table.health else None,
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
