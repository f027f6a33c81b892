"""Make every recorded decision again: it comes out as recorded (invariant 10), and other policies show what they would change.

Who decides is handed in, since that takes many processes (`cli/policy/workers.py`); what is kept of it here is bounded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from app.domain.recorded import RecordedDecision, Redecision, Redecisions

MOST_KEPT = 1_000  # differences that are listed one by one; all are counted

Batch = Sequence[RecordedDecision]
Decide = Callable[[Iterable[Batch]], Iterable[tuple[Batch, Sequence[Redecisions]]]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that came out otherwise. `request` is left out: it stands in the audit entry `seq`."""

    seq: int
    at: str
    action: str
    deployment_id: str | None
    environment: str
    before: Redecision
    after: Redecision


@dataclass(slots=True)
class ReplayResult:
    """What came out. `not_reproduced` must be empty; `changes` counts (effect before, after, environment, policy id).

    `unkept`: decisions by digest whose version was not kept with its schema, which are not decided under it.
    """

    decisions: int = 0
    reproduced: int = 0
    effects: Counter[str] = field(default_factory=Counter)
    unkept: Counter[str] = field(default_factory=Counter)
    not_reproduced: int = 0
    differences: list[Difference] = field(default_factory=list)
    changed: int = 0
    completed: int = 0
    by_other_policies: int = 0
    changes: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    examples: list[Difference] = field(default_factory=list)

    @property
    def is_faithful(self) -> bool:
        """Tell whether every decision that can be made again came out as it was recorded."""
        return self.not_reproduced == 0


def replay_decisions(
    batches: Iterable[Batch], decide: Decide, *, progress: Callable[[int], None] = lambda _: None, examples: int = 10
) -> ReplayResult:
    """Make the decisions of these batches again and compare. Raises what reading or deciding them raises.

    `progress` is told how many are done; so many `examples` are kept of each kind of change.
    """
    found, kept = ReplayResult(), Counter[tuple[str, str]]()
    for batch, answers in decide(batches):
        for recorded, answer in zip(batch, answers, strict=True):
            _compare(found, recorded, answer)
            if answer.other is not None:
                _compare_other(found, recorded, answer.other, kept, examples)
        found.completed += sum(answer.is_completed for answer in answers)
        progress(found.decisions)
    return found


def _compare(found: ReplayResult, recorded: RecordedDecision, answer: Redecisions) -> None:
    """Compare with what the same version says today."""
    found.decisions += 1
    found.effects[recorded.effect] += 1
    before = Redecision(recorded.effect, recorded.policies)
    if answer.own is None:
        found.unkept[recorded.digest] += 1
    elif answer.own == before:
        found.reproduced += 1
    else:
        found.not_reproduced += 1
        if len(found.differences) < MOST_KEPT:
            found.differences.append(_difference(recorded, answer.own))


def _compare_other(
    found: ReplayResult, recorded: RecordedDecision, other: Redecision, kept: Counter[tuple[str, str]], examples: int
) -> None:
    """Compare with what other policies say."""
    if other.effect == recorded.effect:
        found.by_other_policies += other.policies != recorded.policies
        return
    found.changed += 1
    for policy in _behind(recorded, other):
        found.changes[recorded.effect, other.effect, recorded.environment, policy] += 1
    if kept[recorded.effect, other.effect] < examples:
        kept[recorded.effect, other.effect] += 1
        found.examples.append(_difference(recorded, other))


def _behind(recorded: RecordedDecision, other: Redecision) -> Iterator[str]:
    """Name the policies that are behind a change: those that decide now, else those that do not decide any more."""
    if other.policies:
        yield from other.policies
    else:
        yield from (f"{policy} (no more)" for policy in recorded.policies or ("no policy",))


def _difference(recorded: RecordedDecision, after: Redecision) -> Difference:
    before = Redecision(recorded.effect, recorded.policies)
    what = (recorded.action, recorded.deployment_id, recorded.environment)
    return Difference(recorded.seq, recorded.at.isoformat(), *what, before, after)
