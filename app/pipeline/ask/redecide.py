"""Decide recorded requests again: each under its own version of the policies, and under others if they are given. Pure."""

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
    """Finds the kept versions by their digest, and knows the `other` policies.

    `version` returns None if a version was kept without its schema. It raises GateError if the version is missing or damaged.
    """

    version: Callable[[str], Policy | None]
    other: Policy | None = None

    def answers(self, batch: Sequence[RecordedDecision]) -> list[Redecisions]:
        """Decide a batch again; a request that occurs twice (at permission and at dispatch, say) is decided once."""
        known: dict[tuple[str, str], Redecisions] = {}
        for recorded in batch:
            key = (recorded.digest, recorded.request)
            if key not in known:
                known[key] = self._redecisions(recorded)
        return [known[recorded.digest, recorded.request] for recorded in batch]

    def _redecisions(self, recorded: RecordedDecision) -> Redecisions:
        request = json.loads(recorded.request)
        own = self._own_redecision(recorded.digest, request)
        if self.other is None:
            return Redecisions(own, None)
        try:
            whole, is_completed = complete(request)
        except (KeyError, TypeError, AttributeError):  # a damaged record: the policy says so
            whole, is_completed = request, False
        return Redecisions(own, _redecide(self.other, whole), is_completed)

    def _own_redecision(self, digest: str, request: dict[str, Any]) -> Redecision | None:
        try:
            own = self.version(digest)
        except GateError as fault:
            return Redecision(str(fault), ())
        return _redecide(own, request) if own is not None else None


def _redecide(policy: Policy, request: dict[str, Any]) -> Redecision:
    decision = policy.recompute(request)
    return Redecision(decision.effect.value, decision.policies)
