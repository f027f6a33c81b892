"""A decision as the audit log has it, and the same one made again. Used by `pipeline/ask/replay_decisions.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RecordedDecision:
    """One entry that holds a decision. `request` is the engine's whole input as JSON, in one spelling for equal ones."""

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
    """What came out when it was decided again. Where nothing could come out, `effect` says why."""

    effect: str
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Redecisions:
    """Decided again under its `own` version (None: that was not kept whole) and under `other` policies (None: none are given).

    `is_completed`: for the other policies the request was completed with facts that were not recorded then.
    """

    own: Redecision | None
    other: Redecision | None
    is_completed: bool = False


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """A version of the policies as it is kept. Without its schema, which was not always kept, nothing is decided under it."""

    digest: str
    text: str
    schema: str | None
