"""What happened, as plain values: everything that the checker may look at, and nothing else. Next: `check.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.torture.requests import Request


@dataclass(frozen=True, slots=True)
class Answer:
    """One request on the wire, with monotonic times. `status` is None where no answer came."""

    act: int
    delivery: str
    attempt: int
    began: float
    ended: float
    status: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that was done: from when to when."""

    index: int
    kind: str
    what: str
    began: float
    ended: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """A row of the inbox."""

    id: str
    position: int
    forge_id: str
    header: str
    digest: str
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """A deployment. `updated` is monotonic time, so is everything else here."""

    id: str
    position: int
    delivery_id: str | None
    environment: str
    ref: str
    sha: str
    actor: str
    trigger: str
    release_id: str | None
    state: str
    reason: str | None
    created: float
    updated: float


@dataclass(frozen=True, slots=True)
class StageRow:
    """A stage's result."""

    deployment: str
    stage: str
    outcome: str


@dataclass(frozen=True, slots=True)
class DispatchRow:
    """A dispatch."""

    id: str
    deployment: str
    environment: str
    target: str
    position: int
    attempts: int
    progress: str
    detail: str


@dataclass(frozen=True, slots=True)
class Entry:
    """An audit entry."""

    seq: int
    action: str
    actor: str
    deployment: str | None
    delivery: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """A line of a target's record: start, done, failed, again, joined, busy, bad."""

    at: float
    what: str
    target: str
    dispatch: str
    deployment: str
    sha: str
    note: str = ""


@dataclass
class History:
    """The whole run. `moves` are (when, repository, ref, commit); `shown` is what each target stands on in the end."""

    seed: int
    requests: dict[str, Request] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    struck: list[Struck] = field(default_factory=list)
    moves: list[tuple[float, str, str, str | None]] = field(default_factory=list)
    parents: dict[str, tuple[str, ...]] = field(default_factory=dict)  # commit -> parents
    rollbacks: list[str] = field(default_factory=list)  # environments for which one was asked
    refused_for_good: frozenset[str] = frozenset()  # `target commit`
    decisive: dict[str, str] = field(default_factory=dict)  # environment -> the commit it must end on
    deliveries: list[DeliveryRow] = field(default_factory=list)
    deployments: list[DeploymentRow] = field(default_factory=list)
    stages: list[StageRow] = field(default_factory=list)
    dispatches: list[DispatchRow] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    markers: dict[str, dict[str, str]] = field(default_factory=dict)  # directory target -> dispatch id -> commit
    shown: dict[str, str | None] = field(default_factory=dict)
    leaks: list[str] = field(default_factory=list)
    log_lines: list[str] = field(default_factory=list)  # those that no known fault explains
    megabytes: dict[str, float] = field(default_factory=dict)  # the most that a process used
    began: float = 0.0

    def contains(self, commit: str, ancestor: str) -> bool:
        """Tell whether `commit` is, or descends from, `ancestor`."""
        seen, waiting = set(), [commit]
        while waiting:
            each = waiting.pop()
            if each == ancestor:
                return True
            if each not in seen:
                seen.add(each)
                waiting += self.parents.get(each, ())
        return False


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be. `about`: the id of the delivery, deployment or dispatch; or what else it is."""

    rule: str
    about: str
    what: str
