"""The decision about one deployment, by the rights of this moment: for stages, votes and whoever asks (invariants 7, 8)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.deployment import Deployment, Stage, Trigger
from app.domain.environment import Environment
from app.domain.errors import GateError
from app.domain.event import Account
from app.domain.principal import Principal
from app.domain.session import Session, why_no_mfa
from app.integrations.identity.protocol import AccessMap
from app.pipeline.decide.evidence import evidence_of
from app.pipeline.decide.facts import Act, facts
from app.pipeline.decide.tally import NO_VOTES, VoteCount, count_votes
from app.pipeline.decide.what_if import explain
from app.pipeline.freeze.freeze import freezes_at
from app.pipeline.ports.services import Guard, Services
from app.pipeline.ports.stores.unit import Unit

EVIDENCE_HOLDS = timedelta(minutes=1)  # a source may have become stale since


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was decided and by which votes; without a decision the answer is no, for the `reason` given."""

    reason: str
    decision: Decision | None = None
    votes: VoteCount = NO_VOTES

    @property
    def is_allowed(self) -> bool:
        """Tell whether it may go on."""
        return self.decision is not None and self.decision.effect is Effect.ALLOW

    @property
    def detail(self) -> dict[str, Any]:
        """What it takes to decide again (invariant 10), and who stood behind it."""
        if self.decision is None:
            return {}
        votes = {"voters": list(self.votes.voters), "fallen": dict(self.votes.fallen)} if self.votes.request else {}
        return record_of(self.decision) | votes


def decide_now(services: Services, guard: Guard, deployment: Deployment) -> Judgement:
    """Decide by the rights of this moment (invariants 7, 8)."""
    environment = guard.environment(deployment.environment)
    if environment is None:
        return Judgement(f"the configuration has no environment {deployment.environment} any more")
    changed = _why_not_here(environment, deployment)
    if changed is not None:
        return Judgement(changed)
    fault, principal = active_principal(guard.identity, deployment.actor)
    if principal is None:
        return Judgement(fault)
    with services.store.reading() as unit:
        session = unit.sessions.newest(principal.subject, services.clock.now(), guard.issuer_urls)
    if deployment.trigger is Trigger.OVERRIDE and (bare := why_no_mfa(session, deployment.created_at)) is not None:
        return Judgement(f"an override takes a second factor: {bare}")
    found = current_evidence(services, guard, deployment)
    votes = count_votes(services, guard, deployment, environment, found)
    context = context_of(services, guard, deployment, environment=environment, evidence=found, session=session, votes=votes)
    keep_policy(services, guard)
    # The repository as tidegate.toml spells it, since policies spell it so.
    asked = DecisionRequest(principal, action_of(deployment), environment.name, environment.repository, context)
    decision = guard.policy.decide(asked)
    return Judgement(_with_fallen(explain(guard.policy, decision), decision, votes), decision, votes)


def current_evidence(services: Services, guard: Guard, deployment: Deployment) -> dict[str, Any]:
    """Return what the deployment brings, gathered again where it may have changed: whose an e-mail or a key is, say."""
    with services.store.reading() as unit:
        identified = unit.deployments.result(deployment.id, Stage.VALIDATE_IDENTITY)
        known = unit.access.version()
    if identified is None:
        raise GateError("validate_identity has left no result")
    found = identified.detail
    is_old = services.clock.now() - identified.finished_at > EVIDENCE_HOLDS
    if is_old or (known, guard.digest) != (found.get("access_version"), found.get("guard")):
        found = found | evidence_of(services, guard, deployment, found)
    return found


def context_of(
    services: Services,
    guard: Guard,
    deployment: Deployment,
    *,
    environment: Environment,
    evidence: dict[str, Any],
    session: Session | None,
    votes: VoteCount,
    is_involved: bool = False,
) -> dict[str, Any]:
    """Gather what a decision about this deployment may depend on. `session` is that of who acts."""
    now = services.clock.now()
    with services.store.reading() as unit:
        freezes = [freeze.name for freeze in freezes_at(unit, environment.name, now)]
        checked = is_checked(unit, deployment)
    act = Act(deployment.trigger.value, deployment.ref, deployment.sha, deployment.actor.login)
    return facts(
        guard,
        [environment],
        act,
        evidence={**evidence, "checked_at_push": checked},
        session=session,
        freezes=freezes,
        now=now,
        approvals=votes.tally,
        is_involved=is_involved,
    )


def is_checked(unit: Unit, deployment: Deployment) -> bool:
    """Tell whether the check before pushes let this commit onto this ref; merges in the forge's pages skip it."""
    repository = deployment.repository
    return unit.pushes.is_checked(repository.forge, repository.id, ref=deployment.ref, sha=deployment.sha)


def keep_policy(services: Services, guard: Guard) -> None:
    """Keep the version of the policies by which is decided, so that it can be decided again."""
    with services.store.unit() as unit:
        remember_policy(unit, guard)


def remember_policy(unit: Unit, guard: Guard) -> None:
    """Keep it with what else is written in this unit."""
    unit.remember_version("policy", guard.policy.digest, guard.policy.text)
    unit.remember_version("schema", guard.policy.digest, guard.policy.schema)


def action_of(deployment: Deployment) -> Action:
    """Say which right a deployment takes."""
    if deployment.trigger is Trigger.OVERRIDE:
        return Action.OVERRIDE
    return Action.ROLLBACK if deployment.is_rollback else Action.DEPLOY


def _with_fallen(reason: str, decision: Decision, votes: VoteCount) -> str:
    """Say beside the reason whose votes do not count any more, where that may be why."""
    if decision.effect is Effect.ALLOW or not votes.fallen:
        return reason
    return f"{reason}; fallen votes: " + ", ".join(f"{who} ({why})" for who, why in votes.fallen)


def _why_not_here(environment: Environment, deployment: Deployment) -> str | None:
    """Say what the configuration of this moment has against it: it may have changed since it was planned."""
    repository = deployment.repository
    if not environment.is_of(repository):
        return f"{environment.name} deploys {environment.repository}, and not {repository.key} with the number {repository.id}"
    if not deployment.is_rollback and not environment.deploys_ref(deployment.ref):
        return f"{environment.name} does not deploy {deployment.ref} any more"
    return None


def record_of(decision: Decision) -> dict[str, Any]:
    """List what it takes to decide again (invariant 10)."""
    return {
        "effect": decision.effect.value,
        "policies": list(decision.policies),
        "policy_digest": decision.policy_digest,
        "request": decision.request,
    }


def active_principal(identity: AccessMap, account: Account) -> tuple[str, Principal | None]:
    """Return the active principal behind an account, or None and what would change that."""
    principal = identity.principal_of(account)
    if principal is None:
        return (
            f"account {account.key} ({account.login}) stands for nobody; link it: tidegate access link {account.key} SUBJECT",
            None,
        )
    if not principal.active:
        return f"{principal.subject} is not active: {principal.why_inactive}", None
    return "", principal
