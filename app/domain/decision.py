"""The answer of the policies: allow, deny, or wait for approvals, with the request and the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.domain.principal import Principal


class Action(StrEnum):
    """The action that a principal asks for.

    `push` is about a repository, before it takes commits, `change-policies` about the gate itself, and all others about an
    environment. `read` is about the gate if no environment is named: it shows proposed policies.
    """

    PUSH = "push"
    DEPLOY = "deploy"
    APPROVE = "approve"
    ROLLBACK = "rollback"
    OVERRIDE = "override"
    CANCEL = "cancel"
    REVIEW = "review"
    CHANGE_POLICIES = "change-policies"
    READ = "read"
    BASELINE = "baseline"


# Rights that a permit for any action does not give: a policy must name them.
NAMED = frozenset(
    {
        *(Action.APPROVE, Action.OVERRIDE, Action.CANCEL, Action.REVIEW),
        *(Action.CHANGE_POLICIES, Action.READ, Action.BASELINE),
    }
)
HOLDABLE = frozenset({Action.DEPLOY, Action.ROLLBACK})  # actions that may wait for other people's approvals


class Effect(StrEnum):
    """The answer. `hold` is computed: denied with the present approvals, allowed with enough of them."""

    ALLOW = "allow"
    DENY = "deny"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Everything that a decision may depend on. `context` is plain JSON (str, bool, int, lists of str) without secrets.

    The resource is the environment; for a `push` the repository; for `change-policies`, and to `read` without an environment,
    the gate.
    """

    principal: Principal
    action: Action
    environment: str
    repository: str
    context: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """An answer with its evidence.

    `policies` are the `@id`s that decided (empty: no permit matched); `reason` is one sentence for people;
    `policy_digest` names the exact policy text; `request` is the engine's whole input, enough to decide again.
    """

    effect: Effect
    policies: tuple[str, ...]
    reason: str
    policy_digest: str
    request: dict[str, Any]
