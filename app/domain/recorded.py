"""A decision as the audit log has it, and the same decision made again. Used by `pipeline/ask/replay_decisions.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """One entry that holds a decision. `request` is the engine's whole input as JSON; equal inputs have the same text."""

    seq: int
    at: datetime
    action: str
    deployment_id: str | None
    environment: str
    effect: str
    policies: tuple[str, ...]
    digest: str
    request: str


@dataclass(frozen=True, slots=True)
class Redecision:
    """The result of deciding again. If it could not be decided, `effect` says why."""

    effect: str
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Redecisions:
    """The results under its `own` version (None: it was not kept whole) and under `other` policies (None: none are given).

    `is_completed`: for the other policies, the request was completed with facts that were not recorded then.
    """

    own: Redecision | None
    other: Redecision | None
    is_completed: bool = False


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A stored version of the policies. Its schema was not always stored; without it, nothing can be decided under it."""

    digest: str
    text: str
    schema: str | None
