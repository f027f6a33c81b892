"""The protocol of policy engines: decide one request, and tell what the texts ask for. It is small, to be replaceable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

from app.domain.decision import Action, Decision, DecisionRequest


@dataclass(frozen=True, slots=True)
class Asks:
    """The groups and facts that policies ask for about one request, the texts that facts are compared with, and enough approvals.

    `enough` is the fact `approvals` with a value that meets every policy.
    """

    groups: frozenset[str]
    facts: frozenset[str]
    compared: frozenset[tuple[str, str]]
    enough: Mapping[str, Any]

    def compared_with(self, fact: str) -> frozenset[str]:
        """List the texts that this fact of the context, or of its session, is compared with."""
        return frozenset(text for name, text in self.compared if name == fact)


class Decider(Protocol):
    """One version of the policies as it decides, and all that must be kept to make a decision again."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over the policy texts and the schema."""
        ...

    @property
    def text(self) -> str:
        """The complete policy texts, kept so that a decision can be made again."""
        ...

    @property
    def schema(self) -> str:
        """The schema: all that the policies may ask about. It is kept too, since a later release asks about more."""
        ...

    def decide(self, request: DecisionRequest) -> Decision:
        """Decide. Never raises: any fault is a deny that names it (invariant 7)."""
        ...

    def recompute(self, query: dict[str, Any]) -> Decision:
        """Decide a recorded request (Decision.request) under this version (invariant 10). Never raises."""
        ...


class PolicyText(Protocol):
    """One version of the policies as it reads: the names and facts in it, for checks, notes and what-if."""

    @property
    def files(self) -> Mapping[str, str]:
        """The policy texts by file name."""
        ...

    def changed(self, file: str, text: str) -> Self:
        """Return these policies with this file, which is new or replaces the file of the same name.

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
    def environments(self) -> frozenset[str]:
        """The environments that any policy names."""
        ...

    @property
    def reasons(self) -> Mapping[str, str]:
        """Each policy's reason for people, by its id."""
        ...

    @property
    def facts(self) -> frozenset[str]:
        """The facts of the context that any policy asks about."""
        ...

    def asks(self, fact: str, action: Action, resources: frozenset[tuple[str, str]]) -> bool:
        """Tell whether a policy asks for this fact and may concern this action on one of these resources (type, id)."""
        ...

    def permits(self, action: Action, resources: frozenset[tuple[str, str]]) -> bool:
        """Tell whether a policy may ever permit somebody this action on one of these resources (type, id)."""
        ...

    def names(self, action: Action) -> bool:
        """Tell whether a policy names this action in its scope."""
        ...

    def about(self, query: Mapping[str, Any], denied_by: Collection[str] | None = None) -> Asks:
        """Return what the policies ask for, if they may concern this request (Decision.request).

        With `denied_by`, the ids of a denial: only what is behind it. If there are none, that is what could have permitted.
        """
        ...


class Policy(Decider, PolicyText, Protocol):
    """One version of the policies."""
