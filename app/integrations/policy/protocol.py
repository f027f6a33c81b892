"""What the policy engine does: decide one request. One function, so that the engine can be replaced."""

from __future__ import annotations

from typing import Any, Protocol

from app.domain.decision import Decision, DecisionRequest, Effect


class Policy(Protocol):
    """One version of the policies."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the policy texts and the schema."""
        ...

    @property
    def text(self) -> str:
        """The policy texts, whole, so that a decision can be made again."""
        ...

    @property
    def schema(self) -> str:
        """What the policies may ask about, for the same purpose: a later release asks about more."""
        ...

    @property
    def groups(self) -> frozenset[str]:
        """The groups that any policy names."""
        ...

    @property
    def facts(self) -> frozenset[str]:
        """The facts of the context that any policy asks about."""
        ...

    def decide(self, request: DecisionRequest) -> Decision:
        """Decide. Never raises: whatever goes wrong is a deny that says so (DESIGN invariant 7)."""
        ...

    def recompute(self, asked: dict[str, Any]) -> Decision:
        """Decide a recorded request (Decision.request) under this version (DESIGN invariant 10). Never raises."""
        ...

    def decide_again(self, asked: dict[str, Any]) -> Effect:
        """Tell the answer to a recorded request under this version. Never raises."""
        ...
