"""What the steps ask of the database. `store/` implements it; a step sees a `Unit`: one transaction.

Everything written in one unit commits together or not at all; no outside call is made while one is open.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Protocol

from app.domain.access import AccountLink, Change, LinkedBy, Page, SourceKind, SourceState, Statement
from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, Receipt
from app.domain.deployment import Deployment, Dispatch, DispatchRow, Progress, Stage, StageResult, Step, Turn, Wake
from app.domain.event import Account
from app.pipeline.session_stores import Sessions


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
        """Lock and list older ones that hold a grant and wait to be dispatched."""
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


class Access(Protocol):
    """The access map as it is read, inside a unit."""

    def version(self) -> int:
        """Return the number of the newest change; one that is not committed yet does not count."""
        ...

    def raise_version(self) -> None:
        """Make whoever decided by what was known until now ask again; the last write of a transaction, since it locks."""
        ...

    def links(self, account: Account) -> list[AccountLink]:
        """List for whom an account stands, and who says so."""
        ...

    def links_of(self, subjects: Collection[str] | None) -> list[AccountLink]:
        """List the accounts that stand for these principals; None: all."""
        ...

    def statements(self, subjects: Collection[str]) -> dict[str, list[Statement]]:
        """List what all sources, also those no longer configured, say of these principals."""
        ...

    def statements_of_login(self, login: str) -> dict[str, list[Statement]]:
        """List what sources say of those who have this login there (case-insensitive)."""
        ...

    def subjects(self, after: str = "", limit: int = 1000) -> list[str]:
        """List the subjects of whom any source speaks, in order, from behind `after` on."""
        ...

    def owners(self, emails: Collection[str]) -> dict[str, set[str]]:
        """Return the subjects of whom any source says that these (lower-case) e-mails are theirs."""
        ...

    def unread(self, names: Collection[str]) -> list[str]:
        """List those of these sources that were never read whole."""
        ...

    def link(self, link: AccountLink) -> bool:
        """Say for whom an account stands; False if that was already said in the same way, of whomever."""
        ...

    def unlink(self, account: Account, how: Collection[LinkedBy]) -> list[AccountLink]:
        """Take back what was said of an account in these ways; return it."""
        ...


class Statements(Protocol):
    """What sources say, as it is written down, inside a unit. Changes are returned for the audit log."""

    def open(self, source: str, kind: SourceKind) -> SourceState:
        """Make the source known, lock it until the unit ends, and return how far it was heard."""
        ...

    def say(self, source: str, page: Page, now: datetime) -> list[Change]:
        """Write down what `source` says in this page; return what that changed."""
        ...

    def forget(self, source: str, gone: Collection[str], gone_groups: Collection[str], *, now: datetime) -> list[Change]:
        """Note that the source has these no longer: people stay as inactive, so that no other source keeps them active."""
        ...

    def withdraw(self, source: str, external_ids: Collection[str]) -> list[Change]:
        """Delete what the source said of these: it says nothing any more, neither active nor inactive."""
        ...

    def belong(self, source: str, external_id: str, groups: Collection[str], *, now: datetime) -> list[Change]:
        """Say that one identity is in exactly these groups; who else is in them stays. A group's id is its name."""
        ...

    def known(self, source: str) -> tuple[set[str], set[str]]:
        """Return the external ids of the identities (not gone) and groups that the source has, as far as it was heard."""
        ...

    def states(self) -> list[SourceState]:
        """List all sources that were ever heard."""
        ...

    def digest(self, source: str) -> str | None:
        """Return the digest of what was taken over as a whole (a file)."""
        ...

    def taken_over(self, source: str, digest: str, now: datetime) -> None:
        """Note that a file of this digest was taken over."""
        ...

    def lease(self, source: str, now: datetime, seconds: float) -> bool:
        """Be the only one to read this source for a while; False if somebody is at it."""
        ...

    def heard(self, source: str, at: datetime, *, whole: bool) -> None:
        """Note that all that the source says was known at this time, and end the lease."""
        ...

    def unheard(self, source: str, fault: str) -> None:
        """Note why the source could not be read, and end the lease."""
        ...

    def confirm(self, source: str, external_id: str, at: datetime) -> None:
        """Note that the source has just vouched for this one identity (a sign-in)."""
        ...


class Unit(Protocol):
    """One transaction."""

    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def deployments(self) -> Deployments: ...
    @property
    def slots(self) -> Slots: ...
    @property
    def dispatches(self) -> Dispatches: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def access(self) -> Access: ...
    @property
    def statements(self) -> Statements: ...
    @property
    def sessions(self) -> Sessions: ...

    def remember_version(self, kind: str, digest: str, text: str) -> bool:
        """Keep a version of configuration, people or policies; True if it was not known before."""
        ...


class Store(Protocol):
    """The database."""

    def unit(self) -> AbstractContextManager[Unit]:
        """Open a transaction: commits at the end of the block, rolls back on an exception; raises StoreUnavailable."""
        ...

    def single(self) -> AbstractContextManager[Unit]:
        """Open a unit in which each statement commits by itself; raises StoreUnavailable."""
        ...

    def reading(self) -> AbstractContextManager[Unit]:
        """Open a unit that only reads, each statement by itself; raises StoreUnavailable."""
        ...
