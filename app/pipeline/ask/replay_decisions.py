"""Repeat every recorded decision. It comes out as recorded (invariant 10), and other policies show what they would change.

The function that decides is a parameter, because it runs in many processes (`cli/policy/workers.py`). The result is bounded.
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
    """A decision that came out differently. Its request is in the audit entry `seq`."""

    seq: int
    at: str
    action: str
    deployment_id: str | None
    environment: str
    before: Redecision
    after: Redecision


@dataclass(slots=True)
class ReplayResult:
    """The outcome of a replay. `not_reproduced` must be 0; `changes` counts (effect before, after, environment, policy id).

    `unkept` counts, by digest, decisions whose version was kept without its schema. They cannot be decided under that version.
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
        """Tell whether every decision that can be repeated came out as it was recorded."""
        return self.not_reproduced == 0


def replay_decisions(
    batches: Iterable[Batch], decide: Decide, *, progress: Callable[[int], None] = lambda _: None, examples: int = 10
) -> ReplayResult:
    """Repeat the decisions of these batches and compare. Propagates errors from reading or deciding.

    `progress` is called with the number done so far. At most `examples` are kept of each kind of change.
    """
    result, examples_of = ReplayResult(), Counter[tuple[str, str]]()
    for batch, answers in decide(batches):
        for recorded, answer in zip(batch, answers, strict=True):
            _compare(result, recorded, answer)
            if answer.other is not None:
                _compare_other(result, recorded, answer.other, examples_of, examples)
        result.completed += sum(answer.is_completed for answer in answers)
        progress(result.decisions)
    return result


def _compare(result: ReplayResult, recorded: RecordedDecision, answer: Redecisions) -> None:
    """Compare with what the same version says today."""
    result.decisions += 1
    result.effects[recorded.effect] += 1
    before = Redecision(recorded.effect, recorded.policies)
    if answer.own is None:
        result.unkept[recorded.digest] += 1
    elif answer.own == before:
        result.reproduced += 1
    else:
        result.not_reproduced += 1
        if len(result.differences) < MOST_KEPT:
            result.differences.append(_difference(recorded, answer.own))


def _compare_other(
    result: ReplayResult, recorded: RecordedDecision, other: Redecision, examples_of: Counter[tuple[str, str]], most: int
) -> None:
    """Compare with what other policies say."""
    if other.effect == recorded.effect:
        result.by_other_policies += other.policies != recorded.policies
        return
    result.changed += 1
    for policy in _policies_behind(recorded, other):
        result.changes[recorded.effect, other.effect, recorded.environment, policy] += 1
    if examples_of[recorded.effect, other.effect] < most:
        examples_of[recorded.effect, other.effect] += 1
        result.examples.append(_difference(recorded, other))


def _policies_behind(recorded: RecordedDecision, other: Redecision) -> Iterator[str]:
    """Name the policies behind a change: those that decide now, else those that no longer decide."""
    if other.policies:
        yield from other.policies
    else:
        yield from (f"{policy} (no more)" for policy in recorded.policies or ("no policy",))


def _difference(recorded: RecordedDecision, after: Redecision) -> Difference:
    before = Redecision(recorded.effect, recorded.policies)
    subject = (recorded.action, recorded.deployment_id, recorded.environment)
    return Difference(recorded.seq, recorded.at.isoformat(), *subject, before, after)
