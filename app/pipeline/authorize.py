"""Stage 2: may this principal do this, to this environment, with these commits, now? Next: `grant.py`."""

from __future__ import annotations

from datetime import timedelta

from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.deployment import Deployment, Stage, State
from app.domain.environment import Environment
from app.domain.errors import GateError
from app.pipeline.facts import Act, facts
from app.pipeline.freeze import freezes_at
from app.pipeline.identify import proven, wrote
from app.pipeline.services import Guard, Services
from app.pipeline.sign_in import issuer_urls
from app.pipeline.stage import Finding, Outcome, run_stage

EVIDENCE_HOLDS = timedelta(minutes=1)  # a source may have become stale since


def authorize(services: Services, deployment_id: str) -> Outcome:
    """Run `check_permission`."""
    guard = services.guard()

    def find(deployment: Deployment) -> Finding:
        reason, decision = decide_now(services, guard, deployment)
        if decision is None:
            return Finding(State.DENIED, "denied", reason=reason)
        if decision.effect is not Effect.ALLOW:
            return Finding(State.DENIED, "denied", evidence(decision), reason=decision.reason)
        return Finding(State.PERMITTED, "permitted", evidence(decision), reason=decision.reason)

    return run_stage(services, deployment_id, Stage.CHECK_PERMISSION, find)


def decide_now(services: Services, guard: Guard, deployment: Deployment) -> tuple[str, Decision | None]:
    """Decide by the rights of this moment; without a decision the answer is no, for the reason given (invariants 7, 8)."""
    environment = guard.environment(deployment.environment)
    if environment is None:
        return f"the configuration has no environment {deployment.environment} any more", None
    changed = _why_not_here(environment, deployment)
    if changed is not None:
        return changed, None
    fault, principal = proven(guard.identity, deployment)
    if principal is None:
        return fault, None
    with services.store.reading() as unit:
        identified = unit.deployments.result(deployment.id, Stage.VALIDATE_IDENTITY)
        known = unit.access.version()
        session = unit.sessions.newest(principal.subject, services.clock.now(), issuer_urls(guard))
        freezes = [each.name for each in freezes_at(unit, environment.name, services.clock.now())]
    if identified is None:
        raise GateError("validate_identity has left no result")
    found = identified.detail
    is_old = services.clock.now() - identified.finished_at > EVIDENCE_HOLDS
    if is_old or (known, guard.digest) != (found.get("access_version"), found.get("guard")):
        found = found | wrote(services, guard, deployment)  # whose an e-mail or a key is may have changed since
    with services.store.unit() as unit:
        unit.remember_version("policy", guard.policy.digest, guard.policy.text)
        unit.remember_version("schema", guard.policy.digest, guard.policy.schema)
    act = Act(deployment.trigger.value, deployment.ref, deployment.sha, deployment.actor.login)
    context = facts(guard, environment, act, evidence=found, session=session, freezes=freezes, now=services.clock.now())
    action = Action.ROLLBACK if deployment.is_rollback else Action.DEPLOY
    # The repository as tidegate.toml spells it, since policies spell it so.
    return "", guard.policy.decide(DecisionRequest(principal, action, environment.name, environment.repository, context))


def _why_not_here(environment: Environment, deployment: Deployment) -> str | None:
    """Say what the configuration of this moment has against it: it may have changed since it was planned."""
    repository = deployment.repository
    if not environment.is_of(repository):
        return f"{environment.name} deploys {environment.repository}, and not {repository.key} with the number {repository.id}"
    if not deployment.is_rollback and not environment.deploys_ref(deployment.ref):
        return f"{environment.name} does not deploy {deployment.ref} any more"
    return None


def evidence(decision: Decision) -> dict[str, object]:
    """List what it takes to decide again (invariant 10)."""
    return {
        "effect": decision.effect.value,
        "policies": list(decision.policies),
        "policy_digest": decision.policy_digest,
        "request": decision.request,
    }
