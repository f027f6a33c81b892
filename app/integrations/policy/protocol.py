"""What a policy engine does: decide one request, and say what its texts ask for. Few methods, so that it can be replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from app.domain.decision import Action, Decision, DecisionRequest


@dataclass(frozen=True, slots=True)
class Asks:
    """What policies about one request ask for: groups, facts, what these are compared with; and what approvals are enough."""

    groups: frozenset[str]
    facts: frozenset[str]
    compared: frozenset[tuple[str, str]]
    enough: Mapping[str, Any]

    def compared_with(self, fact: str) -> frozenset[str]:
        """List the texts that this fact of the context, or of its session, is compared with."""
        return frozenset(text for name, text in self.compared if name == fact)


class Decider(Protocol):
    """One version of the policies, as it decides, and what must be kept so that a decision can be made again."""

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

    def decide(self, request: DecisionRequest) -> Decision:
        """Decide. Never raises: whatever goes wrong is a deny that says so (DESIGN invariant 7)."""
        ...

    def recompute(self, asked: dict[str, Any]) -> Decision:
        """Decide a recorded request (Decision.request) under this version (DESIGN invariant 10). Never raises."""
        ...


class PolicyText(Protocol):
    """One version of the policies, as it reads: what they name and ask for, which checks, notes and what-if look at."""

    @property
    def files(self) -> Mapping[str, str]:
        """The policy texts by file name."""
        ...

    def changed(self, file: str, text: str) -> Self:
        """Return these policies with this file, new or in place of the one of its name.

        Raises BadConfiguration with each fault as `FILE:LINE: what`.
        """
        ...

    @property
    def groups(self) -> frozenset[str]:
        """The groups that any policy names."""
        ...

    @property
    def repositories(self) -> frozenset[str]:
        """The repositories that any policy names, as it spells them."""
        ...

    @property
    def reasons(self) -> Mapping[str, str]:
        """What each policy says to people, by its id."""
        ...

    @property
    def facts(self) -> frozenset[str]:
        """The facts of the context that any policy asks about."""
        ...

    def asks(self, fact: str, action: Action, resources: frozenset[tuple[str, str]]) -> bool:
        """Tell whether a policy asks for a fact of the context that may concern this action on one of these (type, id)."""
        ...

    def about(self, asked: Mapping[str, Any]) -> Asks:
        """Tell what the policies ask for that may concern this request (Decision.request)."""
        ...


class Policy(Decider, PolicyText, Protocol):
    """One version of the policies."""
