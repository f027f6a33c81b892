"""What the steps of the line ask of the database: deliveries, deployments, slots, dispatches and the audit log.

Each is a room of a `Unit`: `unit.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Protocol

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, Receipt
from app.domain.deployment import Deployment, Dispatch, DispatchRow, Progress, Stage, StageResult, Step, Turn, Wake


class Inbox(Protocol):
    """Where deliveries are kept from the moment they are accepted."""

    def put(self, delivery: Delivery) -> Future[Receipt]:
        """Keep the delivery once per (forge, delivery id), with its audit entry; return at once.

        The receipt comes when the delivery is durable, or StoreUnavailable where it cannot be kept.
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
        """Lock the oldest one of each of the next repositories after `after`; return how far that went ("": all)."""
        ...

    def reserve(self, delivery_ids: Sequence[str], until: datetime) -> None:
        """Keep other planners from these until then."""
        ...

    def claim(self, delivery_id: str) -> Delivery | None:
        """Lock one delivery if it is still pending."""
        ...

    def finish(self, reasons: Mapping[str, str | None]) -> None:
        """Mark each, by its id, as planned, or as ignored where a reason is given."""
        ...

    def postpone(self, delivery_id: str, now: datetime, reason: str) -> int:
        """Keep pending for a while, twice as long each time up to five minutes; return how often that has happened."""
        ...

    def get(self, delivery_id: str) -> Delivery | None:
        """Return a delivery whatever its state; None if there is none."""
        ...

    def oldest_due(self, now: datetime) -> str | None:
        """Return the id of the oldest pending delivery that is due, if any."""
        ...


class Deployments(Protocol):
    """Deployments, their stage results and dispatches, inside a unit."""

    def add(self, deployment: Deployment, due_at: datetime | None) -> bool:
        """Insert; False if this (forge, repository id, ref, sha, environment) was already planned from a delivery.

        Without a due time it stands in its environment's lane until it is admitted.
        """
        ...

    def add_all(self, deployments: Sequence[Deployment]) -> set[str]:
        """Insert them in this order, into their lanes; return the ids of those that were not already planned."""
        ...

    def admit(self, environments: Sequence[str], *, window: int, due_at: datetime) -> list[Wake]:
        """Let the oldest that stand in these lanes get under way, as far as `window` leaves places; list them."""
        ...

    def lanes(self) -> list[str]:
        """List the environments in whose lanes deployments stand."""
        ...

    def next_position(self) -> int:
        """Return the next number in the order of receipt, for a deployment without a delivery."""
        ...

    def lock(self, deployment_id: str) -> Deployment | None:
        """Lock the row and return it as it is now."""
        ...

    def get(self, deployment_id: str) -> Deployment | None:
        """Return it without a lock."""
        ...

    def advance(self, deployment: Deployment, step: Step) -> bool:
        """Move it on from where `deployment` stands, with the stage's result and the audit entry, all or nothing.

        False if it stands elsewhere by now; then nothing is written.
        """
        ...

    def defer(self, deployment_id: str, due_at: datetime, why: str) -> None:
        """Set when the sweeper should look again, and say why not before; nothing else."""
        ...

    def explain(self, deployment_id: str, why: str) -> None:
        """Say why it stands still, until it moves; an ended deployment keeps its reason."""
        ...

    def result(self, deployment_id: str, stage: Stage) -> StageResult | None:
        """Return a stage's result."""
        ...

    def last_release(self, environment: str, *, unlike_sha: str | None = None) -> Deployment | None:
        """Return the newest deployment of this environment that succeeded (and has another commit, if asked)."""
        ...

    def release(self, environment: str, release: str) -> Deployment | None:
        """Find a succeeded deployment by its id or a prefix (>= 7) of its commit; newest first."""
        ...

    def turn(self, deployment: Deployment) -> Turn:
        """Tell how it stands in its environment's order; sure only while the slot is locked."""
        ...

    def older_waiting(self, environment: str, position: int) -> list[Deployment]:
        """Lock and list older ones that hold a grant and wait to be dispatched, or that wait for approvals."""
        ...

    def held(self, environment: str) -> list[Deployment]:
        """Lock and list those of an environment that wait for approvals, oldest first."""
        ...

    def take_due(self, now: datetime, again_after: timedelta, limit: int) -> list[Wake]:
        """Claim those that stand still since their due time, and set their next one."""
        ...


class Slots(Protocol):
    """One dispatch at a time per environment (invariant 6)."""

    def lock(self, environment: str) -> str | None:
        """Lock the environment's slot until the unit ends; return who holds it."""
        ...

    def hold(self, environment: str, deployment_id: str) -> None:
        """Give the (locked) slot to a deployment."""
        ...

    def release(self, environment: str, deployment_id: str) -> Wake | None:
        """Free the (locked) slot if this deployment holds it; where it is free now, return the newest that waits for it."""
        ...


class Dispatches(Protocol):
    """Intents to start, one per deployment and target, each under a lease with a fencing number (invariant 4)."""

    def intend(self, dispatches: Sequence[Dispatch], holder: str, seconds: float) -> None:
        """Write down the intent to start; those with an attempt are under `holder`'s lease from the start."""
        ...

    def of(self, deployment_id: str) -> list[DispatchRow]:
        """List them in the order of the environment's targets."""
        ...

    def claim(self, dispatch_id: str, holder: str, seconds: float) -> Dispatch | None:
        """Take the lease if nobody's is running (by the database's clock): one more attempt, a higher fence."""
        ...

    def renew(self, dispatch: Dispatch, seconds: float) -> bool:
        """Extend the lease; False if it was lost to a higher fence."""
        ...

    def report(self, dispatch: Dispatch, progress: Progress, detail: str, token_id: str | None) -> bool:
        """Keep what the target said and end the lease; False if the lease was lost."""
        ...

    def observe(self, dispatch_id: str, progress: Progress, detail: str) -> None:
        """Keep what a poll said."""
        ...


class Audit(Protocol):
    """The append-only log, inside a unit."""

    def append(self, entries: Sequence[AuditEntry]) -> None:
        """Append; there is no other way to write."""
        ...

    def newest_configuration(self) -> str | None:
        """Return the digest that was taken last, and let nobody else ask until the unit ends."""
        ...
