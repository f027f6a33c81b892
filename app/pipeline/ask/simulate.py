"""Ask the policies what they would answer to a person, at a time and from a place, before a push. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from app.domain.decision import Action, Decision
from app.domain.environment import BRANCHES, Environment
from app.domain.errors import BadRequest, NotAllowed, NotFound
from app.domain.event import Account
from app.domain.principal import Principal
from app.domain.session import Session
from app.integrations.policy.protocol import Policy
from app.pipeline.ask.who_can import NO_COMMIT
from app.pipeline.decide.case import Act, Case
from app.pipeline.decide.completion import BEST
from app.pipeline.decide.judgement import decide
from app.pipeline.decide.what_if import what_would_help
from app.pipeline.freeze.freeze import freezes_at
from app.pipeline.ports.services import Guard, Services


@dataclass(frozen=True, slots=True)
class Supposition:
    """An act that is supposed. `at` None means now; `came_from` is an address, or a country as two letters.

    An age of None means the age of the real session. `brings` holds facts about the commits. The best is supposed of all others.
    """

    who: str
    repository: str
    ref: str
    action: Action = Action.DEPLOY
    environment: str | None = None
    at: datetime | None = None
    came_from: str | None = None
    signed_in: timedelta | None = None
    second_factor: timedelta | None = None
    brings: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Simulation:
    """The answer for one environment; `ways` are what would change a denial."""

    environment: str
    decision: Decision
    ways: tuple[tuple[str, ...], ...]


def simulate(services: Services, supposed: Supposition, policy: Policy | None = None) -> list[Simulation]:
    """Decide for each environment that deploys this ref, or for the repository if the action is `push`.

    `policy` replaces the policies in force. Raises NotFound, BadRequest and NotAllowed (the principal is not active).
    """
    guard = services.guard()
    guard = replace(guard, policy=policy) if policy is not None else guard
    who, environments = _principal(guard, supposed.who), _environments(guard, supposed)
    groups = [environments] if supposed.action is Action.PUSH else [[environment] for environment in environments]
    return [_simulation(_case(services, guard, supposed, who, group), supposed, who) for group in groups]


def _case(services: Services, guard: Guard, supposed: Supposition, who: Principal, environments: Sequence[Environment]) -> Case:
    now = supposed.at or services.clock.now()
    with services.store.reading() as unit:
        session = unit.sessions.newest(who.subject, services.clock.now(), guard.issuer_urls)
        freezes = {freeze.name for environment in environments for freeze in freezes_at(unit, environment.name, now)}
    event = {Action.ROLLBACK: "rollback", Action.OVERRIDE: "override"}.get(supposed.action)
    act = Act(event or ("push" if supposed.ref.startswith(BRANCHES) else "tag"), supposed.ref, NO_COMMIT, "")
    evidence, here = {**BEST, **(supposed.brings or {})}, _session(session, supposed, now)
    return Case(guard, tuple(environments), act, evidence, tuple(sorted(freezes)), now, here)


def _simulation(case: Case, supposed: Supposition, who: Principal) -> Simulation:
    spelled = case.environments[0].repository if case.environments else supposed.repository
    decision = decide(case, who, supposed.action, spelled)
    name = spelled if supposed.action is Action.PUSH else case.environment.name
    return Simulation(name, decision, tuple(what_would_help(case.guard.policy, decision.request)))


def _principal(guard: Guard, name: str) -> Principal:
    """Return the principal named by its subject, or by an account as FORGE:ID."""
    forge, _, number = name.partition(":")
    linked = guard.identity.principal_of(Account(forge, number, "")) if number else None
    principal = linked or guard.identity.principal(name)
    if principal is None:
        raise NotFound(f"{name} is neither the subject nor the account (FORGE:ID) of anybody: tidegate access list")
    if principal.why_barred is not None:
        raise NotAllowed(principal.why_barred)
    return principal


def _environments(guard: Guard, supposed: Supposition) -> list[Environment]:
    named = [e for e in guard.environments if e.repository.casefold() == supposed.repository.casefold()]
    if not named and supposed.action is not Action.PUSH:
        known = ", ".join(sorted({e.repository for e in guard.environments}))
        raise NotFound(f"no environment deploys {supposed.repository}; there are {known}")
    if supposed.environment is not None:
        named = [e for e in named if e.name == supposed.environment]
        if not named:
            raise NotFound(f"there is no environment {supposed.environment} of {supposed.repository}")
    fitting = [e for e in named if e.deploys_ref(supposed.ref)]
    if not fitting and supposed.action is not Action.PUSH:
        deploys = "; ".join(f"{e.name} deploys {', '.join(e.deploys)}" for e in named)
        raise BadRequest(f"no environment deploys {supposed.ref}: {deploys}")
    return fitting


def _session(newest: Session | None, supposed: Supposition, now: datetime) -> Session | None:
    """Suppose a session if anything is said about it. The newest real one gives what is not said."""
    if supposed.came_from is None and supposed.signed_in is None and supposed.second_factor is None:
        return newest
    here = newest or Session("supposed", supposed.who, "", now, None, "", (), "", "", "")
    if supposed.signed_in is not None:
        here = replace(here, signed_in_at=now - supposed.signed_in)
    if supposed.second_factor is not None:
        here = replace(here, mfa_at=now - supposed.second_factor)
    if supposed.came_from is None:
        return here
    is_country = len(supposed.came_from) == len("DE") and supposed.came_from.isalpha()
    return replace(here, country=supposed.came_from.upper()) if is_country else replace(here, address=supposed.came_from)
