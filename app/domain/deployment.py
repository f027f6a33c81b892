"""One attempt to bring one commit to one environment: its stages, states and what may follow what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.domain.audit import AuditEntry
from app.domain.event import Account, Repository


class Stage(StrEnum):
    """The five stages, in order; the names are the Celery task names and what Flower shows."""

    VALIDATE_IDENTITY = "validate_identity"
    CHECK_PERMISSION = "check_permission"
    INJECT_TOKEN = "inject_token"  # noqa: S105 - a stage's name
    DISPATCH_DEPLOY = "dispatch_deploy"
    CONFIRM_DEPLOY = "confirm_deploy"


STAGES = tuple(Stage)


class State(StrEnum):
    """Where a deployment stands. Each state but the first names what has been done."""

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
    """All that a message says: this deployment's stage may run now. Losing one costs time, never a deployment."""

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


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment as remembered. `position` is the order of receipt; `sha` is pinned when planned.

    `before` is the ref's former commit (None: new ref);
    `release_id` is the earlier deployment that a rollback brings back; `purpose` is why somebody asked for an override.
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

    @property
    def is_rollback(self) -> bool:
        """Tell whether this brings back an earlier release."""
        return self.trigger in (Trigger.ROLLBACK, Trigger.FAILURE)

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage found, kept once per deployment and stage."""

    stage: Stage
    outcome: str
    detail: dict[str, Any]
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """A move to `state`, with what the stage found (None: it goes on) and the audit entry of it.

    `due_at`: when the sweeper is to look at it again; `principal`: None leaves who is known.
    """

    state: State
    due_at: datetime | None
    entry: AuditEntry
    result: StageResult | None = None
    reason: str | None = None
    principal: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """How a deployment stands in its environment's order: its state now, who holds the slot, who came after and before.

    `is_outrun`: a newer one is granted, or was ever dispatched; `has_older`: an older one is granted and waits.
    `access_version`: the newest change of the access map.
    """

    state: State | None
    holder: str | None
    is_outrun: bool
    has_older: bool
    access_version: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The start of a deployment on one target. `id` is the idempotency key, `fence` grows with every claim."""

    id: str
    deployment_id: str
    environment: str
    target: str
    position: int
    fence: int
    attempts: int


class Progress(StrEnum):
    """What a target says of a dispatch."""

    UNKNOWN = "unknown"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class DispatchRow:
    """A dispatch with what is known of its progress."""

    dispatch: Dispatch
    progress: Progress
    detail: str
    reported_at: datetime
