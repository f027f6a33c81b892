"""Decide recorded requests again: each under its own version of the policies, and under others where they are given. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.errors import GateError
from app.domain.recorded import RecordedDecision, Redecision, Redecisions
from app.integrations.policy.protocol import Policy
from app.pipeline.decide.completion import complete


@dataclass(frozen=True, slots=True)
class Redecider:
    """Knows the kept versions by their digest, and the `other` policies.

    `version` gives None where a version was kept without its schema, and raises GateError where it is not there or damaged.
    """

    version: Callable[[str], Policy | None]
    other: Policy | None = None

    def answers(self, batch: Sequence[RecordedDecision]) -> list[Redecisions]:
        """Decide a batch again; a request that stands in it twice (at permission and at dispatch, say) is decided once."""
        known: dict[tuple[str, str], Redecisions] = {}
        for each in batch:
            key = (each.digest, each.request)
            if key not in known:
                known[key] = self._answers(each)
        return [known[each.digest, each.request] for each in batch]

    def _answers(self, recorded: RecordedDecision) -> Redecisions:
        asked = json.loads(recorded.request)
        again = self._own(recorded.digest, asked)
        if self.other is None:
            return Redecisions(again, None)
        try:
            whole, is_completed = complete(asked)
        except (KeyError, TypeError, AttributeError):  # a damaged record: the policy says so
            whole, is_completed = asked, False
        return Redecisions(again, _again(self.other, whole), is_completed)

    def _own(self, digest: str, asked: dict[str, Any]) -> Redecision | None:
        try:
            own = self.version(digest)
        except GateError as fault:
            return Redecision(str(fault), ())
        return _again(own, asked) if own is not None else None


def _again(policy: Policy, asked: dict[str, Any]) -> Redecision:
    decision = policy.recompute(asked)
    return Redecision(decision.effect.value, decision.policies)
