"""What policy answers: allow or deny, with the request it was asked and the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.domain.principal import Principal


class Action(StrEnum):
    """What a principal wants to do to an environment."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"


class Effect(StrEnum):
    """The answer; whatever is not a clean allow is a deny."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """All that a decision may depend on. `context` is plain JSON (str, bool, int, lists of str), no secret in it."""

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
