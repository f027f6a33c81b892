"""Everything that one decision depends on, as one value: gathered once, then handed on. Next: `facts.py` spells it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.approval import NO_COUNT, VoteCount
from app.domain.deployment import Deployment
from app.domain.environment import Environment
from app.domain.session import Session
from app.pipeline.ports.services import Guard


@dataclass(frozen=True, slots=True)
class Act:
    """What is asked for: `event` brings commit `sha` of `ref`. `login` is the account's name at the forge, for people."""

    event: str
    ref: str
    sha: str
    login: str

    @classmethod
    def of(cls, deployment: Deployment) -> Act:
        """Spell what a deployment asks for."""
        return cls(deployment.trigger.value, deployment.ref, deployment.sha, deployment.actor.login)


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, by which rules, and all that is known of it at one moment.

    `environments` are the one that is acted on, or those that deploy what is pushed. `evidence` is what is known of the
    commits (`evidence.py`), with `checked_at_push`; `freezes` are the names of those in force. `session` is that of the
    person who acts or votes, and `is_involved` tells whether that person had a hand in it.
    """

    guard: Guard
    environments: tuple[Environment, ...]
    act: Act
    evidence: Mapping[str, Any]
    freezes: tuple[str, ...]
    now: datetime
    session: Session | None = None
    votes: VoteCount = NO_COUNT
    is_involved: bool = False

    @property
    def environment(self) -> Environment:
        """The one environment that is acted on; a case of a push has none, or several."""
        (environment,) = self.environments
        return environment
