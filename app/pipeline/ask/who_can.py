"""Ask the policies in force about everybody: who may do this to an environment, under stated assumptions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from app.domain.access import Standing
from app.domain.decision import Action, Effect
from app.domain.environment import BRANCHES, TAGS, Environment
from app.domain.errors import BadRequest, NotFound
from app.domain.refs.glob import example_of
from app.integrations.policy.protocol import Policy
from app.pipeline.decide.case import Act, Case
from app.pipeline.decide.completion import BEST
from app.pipeline.decide.judgement import decide
from app.pipeline.freeze.freeze import freezes_at
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit

EVENTS = {"branch": "push", "tag": "tag", "release": "release"}
NO_COMMIT = "0" * 40


@dataclass(frozen=True, slots=True)
class PrincipalRight:
    """The answer for one principal: its accounts, the effect, and the reason."""

    subject: str
    kind: str
    accounts: tuple[str, ...]
    effect: Effect
    reason: str

    @property
    def allowed(self) -> bool:
        """Tell whether nothing more is needed."""
        return self.effect is Effect.ALLOW


@dataclass(frozen=True, slots=True)
class Rights:
    """The answers for everybody, and the assumptions behind them."""

    environment: str
    action: str
    ref: str
    answers: tuple[PrincipalRight, ...]
    assumed: str


def who_can(
    services: Services,
    name: str,
    *,
    ref: str | None = None,
    action: str = Action.DEPLOY.value,
    at: datetime | None = None,
    policy: Policy | None = None,
) -> Rights:
    """Decide for every principal that a source knows, now or `at` a time. `policy` replaces the policies in force.

    Raises NotFound or BadRequest.
    """
    guard = services.guard()
    guard = replace(guard, policy=policy) if policy is not None else guard
    environment = guard.environment(name)
    if environment is None:
        raise NotFound(f"there is no environment {name}")
    if action not in set(Action):
        raise BadRequest(f"{action!r} is not an action; there are {', '.join(Action)}")
    kind, full = _ref(environment, ref)
    act = Act("rollback" if action == Action.ROLLBACK else EVENTS[kind], full, NO_COMMIT, "")
    now = at or services.clock.now()
    standings = guard.identity.everybody()
    with services.store.reading() as unit:
        freezes = tuple(freeze.name for freeze in freezes_at(unit, environment.name, now))
        case = Case(guard, (environment,), act, BEST, freezes, now)
        answers = tuple(_answer(unit, case, standing, Action(action)) for standing in standings)
    time = f"{at:%a %Y-%m-%d %H:%M %Z}" if at else "now"
    assumed = f"{time}, from {full}, commits that known people wrote and signed, and each person's newest session here"
    return Rights(name, action, full, answers, assumed)


def _answer(unit: Unit, case: Case, standing: Standing, action: Action) -> PrincipalRight:
    who = standing.principal
    identity = (who.subject, who.kind.value, tuple(sorted(who.accounts)))
    if not who.active:
        return PrincipalRight(*identity, effect=Effect.DENY, reason=f"not active: {who.why_inactive}")
    if not who.accounts:
        why = f"no account is linked to this principal: tidegate access link FORGE:ID {who.subject}"
        return PrincipalRight(*identity, effect=Effect.DENY, reason=why)
    session = unit.sessions.newest(who.subject, case.now, case.guard.issuer_urls)
    decision = decide(replace(case, session=session), who, action)
    return PrincipalRight(*identity, effect=decision.effect, reason=decision.reason)


def _ref(environment: Environment, ref: str | None) -> tuple[str, str]:
    """Return the kind and the ref that is asked about. Without one, make up a ref by the environment's first pattern."""
    if ref is not None:
        if not environment.deploys_ref(ref):
            raise BadRequest(f"{environment.name} does not deploy {ref}; it deploys {', '.join(environment.deploys)}")
        return ("branch" if ref.startswith(BRANCHES) else "tag"), ref
    kind, _, glob = environment.deploys[0].partition(":")
    name = example_of(glob) or "v1"
    return kind, f"{BRANCHES if kind == 'branch' else TAGS}{name}"
