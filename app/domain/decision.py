"""What policy answers: allow, deny, or wait for approvals, with the request it was asked and the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.domain.principal import Principal


class Action(StrEnum):
    """What a principal wants to do. `push` is asked before a repository takes commits, all others of an environment."""

    PUSH = "push"
    DEPLOY = "deploy"
    APPROVE = "approve"
    ROLLBACK = "rollback"
    OVERRIDE = "override"


HOLDABLE = frozenset({Action.DEPLOY, Action.ROLLBACK})  # what may wait for other people's approvals


class Effect(StrEnum):
    """The answer. `hold` is computed: denied with the approvals there are, allowed with enough of them."""

    ALLOW = "allow"
    DENY = "deny"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """All that a decision may depend on. `context` is plain JSON (str, bool, int, lists of str), no secret in it.

    The resource is the environment, of a `push` the repository.
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
