"""The ports of the line to the database: deliveries, deployments, slots, dispatches and the audit log.

Each one is a room of a `Unit` (`unit.py`), except the inbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Protocol

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, Receipt
from app.domain.deployment import Deployment, Dispatch, DispatchRow, Progress, Stage, StageResult, Step, Turn, Wake
from app.domain.event import Repository


class Inbox(Protocol):
    """The store of deliveries, from the moment they are accepted."""

    def put(self, delivery: Delivery) -> Future[Receipt]:
        """Store the delivery once per (forge, delivery id), with its audit entry; return at once.

        The future holds the receipt once the delivery is durable, or StoreUnavailable if it cannot be stored.
        """
        ...


class Deliveries(Protocol):
    """The inbox as the planner sees it, inside a unit."""

    def claim_pending(self, now: datetime, limit: int) -> list[Delivery]:
        """Lock the oldest due pending deliveries (without bodies), skipping those that another planner holds.

        New ones are always due.
        """
        ...

    def claim_fairly(self, now: datetime, limit: int, *, newer_than: int, after: str) -> tuple[list[Delivery], str]:
        """Lock the oldest one of each of the next repositories after `after`; return the last repository ("": all are done)."""
        ...

    def reserve(self, delivery_ids: Sequence[str], until: datetime) -> None:
        """Keep other planners from these deliveries until then."""
        ...

    def claim(self, delivery_id: str) -> Delivery | None:
        """Lock one delivery if it is still pending."""
        ...

    def finish(self, reasons: Mapping[str, str | None]) -> None:
        """Mark each delivery, by its id, as planned, or as ignored if it has a reason."""
        ...

    def empty_bodies(self, before: datetime, limit: int) -> int:
        """Keep of the oldest bodies of before this time only their digest, but of none that is waited for; return the number."""
        ...

    def postpone(self, delivery_id: str, now: datetime, reason: str) -> int:
        """Keep it pending, twice as long each time up to five minutes; return how often that has happened."""
        ...

    def get(self, delivery_id: str) -> Delivery | None:
        """Return a delivery in any state; None if there is none."""
        ...

    def oldest_due(self, now: datetime) -> str | None:
        """Return the id of the oldest pending delivery that is due, if any."""
        ...

    def repositories(self) -> list[str]:
        """List the repositories (`FORGE:OWNER/NAME`, as last spelled) that anything was ever planned from."""
        ...

    def commits(self, repository: str) -> list[str]:
        """List the commits that may be needed again: of every deployment (a release, a wait, a replay), and of pending ones."""
        ...


class Deployments(Protocol):
    """Deployments, their stage results and dispatches, inside a unit."""

    def add(self, deployment: Deployment, due_at: datetime | None) -> bool:
        """Insert it; False if this (forge, repository id, ref, sha, environment, act) was already planned from a delivery.

        Without a due time it stands in its environment's lane until it is admitted.
        """
        ...

    def add_all(self, deployments: Sequence[Deployment]) -> set[str]:
        """Insert them into their lanes in this order; return the ids of those that were not planned before."""
        ...

    def admit(self, environments: Sequence[str], *, window: int, due_at: datetime) -> list[Wake]:
        """Let the oldest in these lanes get under way, as far as `window` leaves places; list them."""
        ...

    def lanes(self) -> list[str]:
        """List the environments that have deployments in their lane."""
        ...

    def former_names(self, repository: Repository) -> list[str]:
        """List the other names (OWNER/NAME) under which the repository of this number was deployed."""
        ...

    def next_position(self) -> int:
        """Return the next number in the order of receipt, for a deployment without a delivery."""
        ...

    def lock(self, deployment_id: str) -> Deployment | None:
        """Lock the row and return it as it is now."""
        ...

    def get(self, deployment_id: str) -> Deployment | None:
        """Return a deployment without a lock."""
        ...

    def advance(self, deployment: Deployment, step: Step) -> bool:
        """Move it on from the state of `deployment`, with the stage's result and the audit entry, all or nothing.

        False if it has another state by now; then nothing is written.
        """
        ...

    def defer(self, deployment_id: str, due_at: datetime, why: str) -> None:
        """Set only the time at which the sweeper looks again, and the reason for the wait."""
        ...

    def explain(self, deployment_id: str, why: str) -> None:
        """Store why it stands still, until it moves; an ended deployment keeps its reason."""
        ...

    def note_fault(self, deployment_id: str) -> datetime | None:
        """Note that a passing fault keeps it from moving; return since when, or None if it has ended. It gives its place back."""
        ...

    def result(self, deployment_id: str, stage: Stage) -> StageResult | None:
        """Return a stage's result."""
        ...

    def last_release(self, environment: str, *, unlike_sha: str | None = None) -> Deployment | None:
        """Return the newest deployment of this environment that succeeded (and whose commit is not `unlike_sha`)."""
        ...

    def last_good_release(self, environment: str, *, unlike_sha: str | None = None) -> Deployment | None:
        """Return the newest release that did not come by an override (and whose commit is not `unlike_sha`)."""
        ...

    def release(self, environment: str, release: str) -> Deployment | None:
        """Find a succeeded deployment by its id or a prefix (>= 7) of its commit; newest first."""
        ...

    def turn(self, deployment: Deployment) -> Turn:
        """Tell how it stands in its environment's order; this is certain only while the slot is locked."""
        ...

    def older_waiting(self, environment: str, position: int) -> list[Deployment]:
        """Lock and list older deployments that are granted and wait to be dispatched, or that wait for approvals."""
        ...

    def held(self, environment: str) -> list[Deployment]:
        """Lock and list the deployments of an environment that wait for approvals, oldest first."""
        ...

    def take_due(self, now: datetime, again_after: timedelta, limit: int) -> list[Wake]:
        """Claim deployments that have stood still since their due time, and set their next one."""
        ...


class Slots(Protocol):
    """One dispatch at a time per environment (invariant 6)."""

    def lock(self, environment: str) -> str | None:
        """Lock the environment's slot until the unit ends; return the deployment that holds it."""
        ...

    def hold(self, environment: str, deployment_id: str) -> None:
        """Give the (locked) slot to a deployment."""
        ...

    def release(self, environment: str, deployment_id: str) -> Wake | None:
        """Free the (locked) slot if this deployment holds it; if it is free now, return the newest that waits for it."""
        ...


class Dispatches(Protocol):
    """Intents to start, one per deployment and target, each under a lease with a fencing number (invariant 4)."""

    def intend(self, dispatches: Sequence[Dispatch], holder: str, seconds: float) -> None:
        """Store the intents to start; those with an attempt are under `holder`'s lease at once."""
        ...

    def of(self, deployment_id: str) -> list[DispatchRow]:
        """List a deployment's dispatches in the order of the environment's targets."""
        ...

    def claim(self, dispatch_id: str, holder: str, seconds: float) -> Dispatch | None:
        """Take the lease if none is running (by the database's clock): one more attempt, a higher fence."""
        ...

    def renew(self, dispatch: Dispatch, seconds: float) -> bool:
        """Extend the lease; False if it was lost to a higher fence."""
        ...

    def report(self, dispatch: Dispatch, progress: Progress, detail: str, token_id: str | None) -> bool:
        """Store the target's answer and end the lease; False if the lease was lost."""
        ...

    def observe(self, dispatch_id: str, progress: Progress, detail: str) -> None:
        """Store the answer to a poll."""
        ...


class Audit(Protocol):
    """The append-only log, inside a unit."""

    def append(self, entries: Sequence[AuditEntry]) -> None:
        """Append entries; there is no other way to write."""
        ...

    def newest_configuration(self) -> str | None:
        """Return the digest of the newest configuration in use, and lock out other callers until the unit ends."""
        ...
