"""One attempt to bring one commit to one environment: its stages, its states, and their order."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.domain.audit import AuditEntry
from app.domain.event import Account, Repository


class Stage(StrEnum):
    """The five stages, in order. Their names are the names of Celery's tasks, which Flower shows."""

    VALIDATE_IDENTITY = "validate_identity"
    CHECK_PERMISSION = "check_permission"
    INJECT_TOKEN = "inject_token"  # noqa: S105 - a stage's name
    DISPATCH_DEPLOY = "dispatch_deploy"
    CONFIRM_DEPLOY = "confirm_deploy"


STAGES = tuple(Stage)


class State(StrEnum):
    """Where a deployment stands. Each state but the first names the step that has been done."""

    PLANNED = "planned"
    IDENTIFIED = "identified"
    HELD = "held"
    PERMITTED = "permitted"
    GRANTED = "granted"
    DISPATCHING = "dispatching"
    DISPATCHED = "dispatched"
    SUCCEEDED = "succeeded"
    DENIED = "denied"
    SUPERSEDED = "superseded"
    FAILED = "failed"


ENDED = frozenset({State.SUCCEEDED, State.DENIED, State.SUPERSEDED, State.FAILED})
WAITING = frozenset({State.PLANNED, State.IDENTIFIED, State.HELD, State.PERMITTED, State.GRANTED})
NEXT_STAGE: dict[State, Stage] = {
    State.PLANNED: Stage.VALIDATE_IDENTITY,
    State.IDENTIFIED: Stage.CHECK_PERMISSION,
    State.HELD: Stage.CHECK_PERMISSION,
    State.PERMITTED: Stage.INJECT_TOKEN,
    State.GRANTED: Stage.DISPATCH_DEPLOY,
    State.DISPATCHING: Stage.DISPATCH_DEPLOY,
    State.DISPATCHED: Stage.CONFIRM_DEPLOY,
}


@dataclass(frozen=True, slots=True)
class Wake:
    """A message that a stage of a deployment may run now. Losing one costs time, never a deployment."""

    deployment_id: str
    correlation_id: str
    environment: str
    stage: Stage

    @classmethod
    def of(cls, deployment: Deployment, stage: Stage) -> Wake:
        """Say that this deployment may go on from this stage."""
        return cls(deployment.id, deployment.correlation_id, deployment.environment, stage)


class Trigger(StrEnum):
    """Why a deployment exists."""

    PUSH = "push"
    TAG = "tag"
    RELEASE = "release"
    ROLLBACK = "rollback"
    FAILURE = "failure"
    REPLAY = "replay"
    OVERRIDE = "override"


_INTERNAL = {"is_internal": True}


MOST_SENDERS = 4  # of one act; a person can still ask each of them


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why it is not proven who acted. A person settles it by an approval that was asked for after `since`.

    `accounts` are the other accounts (`FORGE:ID`) that deliveries name as the sender of the same act.
    """

    why: str
    accounts: tuple[str, ...]
    since: datetime

    @property
    def is_hopeless(self) -> bool:
        """Tell whether so many senders are named that no person can settle it: somebody makes them up."""
        return len(self.accounts) >= MOST_SENDERS


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as stored. `position` is the order of receipt; `sha` is pinned when the deployment is planned.

    `before` is the ref's former commit (None: new ref). `release_id` is the earlier deployment that a rollback brings back.
    `purpose` is the reason that a person gave for an override. `act` counts how often the ref had come to this commit before.
    `doubt` is set if it is not proven who acted; then `reason` tells it. Answers to programs leave both out.
    """

    id: str
    position: int
    delivery_id: str | None
    correlation_id: str
    environment: str
    repository: Repository
    ref: str
    before: str | None
    sha: str
    actor: Account
    trigger: Trigger
    release_id: str | None
    state: State
    reason: str | None
    principal: str | None
    created_at: datetime
    updated_at: datetime
    purpose: str | None = None
    act: int = field(default=0, metadata=_INTERNAL)
    doubt: Doubt | None = field(default=None, metadata=_INTERNAL)

    @property
    def is_rollback(self) -> bool:
        """Tell whether this brings back an earlier release."""
        return self.trigger in (Trigger.ROLLBACK, Trigger.FAILURE)

    @property
    def has_ended(self) -> bool:
        """Tell whether the deployment is in a final state."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class StageResult:
    """The result of a stage, stored once for each deployment and stage."""

    stage: Stage
    outcome: str
    detail: dict[str, Any]
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """A move to `state`, with the stage's result (None: the stage goes on) and the audit entry.

    `due_at`: when the sweeper looks at the deployment again; `principal`: None leaves the principal that is stored.
    """

    state: State
    due_at: datetime | None
    entry: AuditEntry
    result: StageResult | None = None
    reason: str | None = None
    principal: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """How a deployment stands in its environment's order: its state now, the holder of the slot, and its neighbours.

    `is_outrun`: a newer deployment is granted, or was ever dispatched. `has_older`: an older one is granted or held, and
    waits. `access_version`: the newest change of the access map.
    """

    state: State | None
    holder: str | None
    is_outrun: bool
    has_older: bool
    access_version: int


class Course(StrEnum):
    """The relation of a delivery to the acts that are known."""

    FIRST = "first"
    SAME = "same"
    AGAIN = "again"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class EarlierActs:
    """How a ref came to a commit before, in one environment. `latest`: the newest act that brought it there, if any.

    `stands_on`: the commit of the ref's newest act. `is_repeated`: an act with the same former commit is known. Two facts about
    acts that were received after `latest`: `has_left` (one of them left the commit), and `was_at_former` (one of them brought
    the ref to the former commit that the delivery names).
    """

    latest: Deployment | None
    stands_on: str | None
    is_repeated: bool
    has_left: bool
    was_at_former: bool

    def course(self, sha: str) -> Course:
        """Tell what a delivery that names `sha` may be. AGAIN and UNCLEAR hold only if the forge's head is `sha`."""
        if self.latest is None:
            return Course.FIRST
        if self.stands_on == sha or (self.is_repeated and not self.has_left):
            return Course.SAME
        return Course.UNCLEAR if self.is_repeated and not self.was_at_former else Course.AGAIN


@dataclass(frozen=True, slots=True)
class Grounds:
    """What the first stage starts from: the version of the access map, and what is known of the act from elsewhere.

    `pushers` are the accounts (`FORGE:ID`) that were allowed to make the deployment's change of its ref. `others` were allowed
    to bring the ref to the same commit, but from another one than the delivery says. `other_numbers` are numbers under which the
    environment knows a repository of this name: that of its release, if any.
    """

    access_version: int
    pushers: frozenset[str]
    others: frozenset[str]
    other_numbers: tuple[int, ...] = ()

    def why_not_from(self, sender: str) -> frozenset[str]:
        """List the accounts that were seen in the sender's place; none if nothing speaks against the sender.

        The former commit is the delivery's own word. So if the check saw the ref come to this commit, but never from there,
        nobody but the sender may have been seen.
        """
        seen = self.pushers or self.others
        is_proven = sender in seen if self.pushers else seen <= {sender}
        return frozenset() if is_proven else seen - {sender}


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The start of a deployment on one target. `id` is the idempotency key; `fence` grows with every claim."""

    id: str
    deployment_id: str
    environment: str
    target: str
    position: int
    fence: int
    attempts: int


class Progress(StrEnum):
    """A target's report about a dispatch."""

    UNKNOWN = "unknown"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DispatchRow:
    """A dispatch with its last known progress."""

    dispatch: Dispatch
    progress: Progress
    detail: str
    reported_at: datetime
