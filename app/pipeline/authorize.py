"""Stage 2: may this principal do this, to this environment, with these commits, now? Next: `grant.py`."""

from __future__ import annotations

from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.deployment import Deployment, Stage, State
from app.domain.errors import GateError
from app.domain.principal import Principal
from app.pipeline.identify import proven
from app.pipeline.services import Guard, Services
from app.pipeline.stage import Finding, Outcome, run_stage


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
    fault, principal = proven(guard.identity, deployment)
    if principal is None:
        return fault, None
    with services.store.unit() as unit:
        identified = unit.deployments.result(deployment.id, Stage.VALIDATE_IDENTITY)
        unit.remember_version("policy", guard.policy.digest, guard.policy.text)
    if identified is None:
        raise GateError("validate_identity has left no result")
    request = _request(services, guard, deployment, principal, identified.detail)
    return "", guard.policy.decide(request)


def evidence(decision: Decision) -> dict[str, object]:
    """List what it takes to decide again (invariant 10)."""
    return {
        "effect": decision.effect.value,
        "policies": list(decision.policies),
        "policy_digest": decision.policy_digest,
        "request": decision.request,
    }


def _request(
    services: Services, guard: Guard, deployment: Deployment, principal: Principal, identified: dict[str, object]
) -> DecisionRequest:
    now = services.clock.now()
    environment = guard.environment(deployment.environment)
    targets = environment.targets if environment else ()
    context = {
        "event": deployment.trigger.value,
        "ref": deployment.ref,
        "branch": _short(deployment.ref, "refs/heads/"),
        "tag": _short(deployment.ref, "refs/tags/"),
        "sha": deployment.sha,
        "zones": sorted({guard.target_zones[t].name for t in targets}),
        "targets": sorted(targets),
        "authors_known": identified["authors_known"],
        "unknown_authors": identified["unknown_authors"],
        "actor_login": deployment.actor.login,
        "hour": now.hour,
        "weekday": now.isoweekday(),
    }
    action = Action.ROLLBACK if deployment.is_rollback else Action.DEPLOY
    return DecisionRequest(principal, action, deployment.environment, deployment.repository.key, context)


def _short(ref: str, prefix: str) -> str:
    return ref.removeprefix(prefix) if ref.startswith(prefix) else ""
