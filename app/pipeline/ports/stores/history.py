"""The ports to the history behind a deployment: rooms of a `Unit` (`unit.py`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.domain.deployment import Deployment
from app.domain.event import Repository
from app.domain.push import Arrival, Baseline, Ground


class History(Protocol):
    """What is known of refs and commits from deliveries, deployments and checks, inside a unit."""

    def ground(self, deployment: Deployment) -> Ground:
        """Return what the facts about a deployment are measured against; one statement.

        Only what was received before the deployment's own act counts as a former commit of its ref (`position`).
        """
        ...

    def arrivals(self, repository: Repository, shas: Sequence[str]) -> list[Arrival]:
        """List how these commits are known to have come to the repository, on any ref; one statement."""
        ...

    def origin(self, deployment: Deployment) -> Deployment | None:
        """Return the deployment that first brought what a rollback brings back; None if it is not known."""
        ...


class Baselines(Protocol):
    """Histories that were accepted unseen, inside a unit."""

    def add(self, baseline: Baseline) -> bool:
        """Store a baseline; False if the environment has it already."""
        ...

    def all(self, environment: str | None = None) -> list[Baseline]:
        """List the baselines of an environment, or all, oldest first. Mirrors must keep these commits."""
        ...
