"""Stage 2: may this principal do this, to this environment, with these commits, now? Next: `grant.py`, or `hold.py`."""

from __future__ import annotations

from app.domain.decision import Effect
from app.domain.deployment import Deployment, Stage, State
from app.pipeline.decide.judgement import decide_now, is_checked
from app.pipeline.line.hold import hold
from app.pipeline.line.stage import Move, Outcome, run_stage
from app.pipeline.ports.services import Guard, Services

WAYS_PAST = "it was merged or released in the forge's pages, or pushed while the check was missing or let all through"


def authorize(services: Services, deployment_id: str) -> Outcome:
    """Run `check_permission`."""
    guard = services.guard()
    return run_stage(services, deployment_id, Stage.CHECK_PERMISSION, lambda d: _find(services, guard, d))


def _find(services: Services, guard: Guard, deployment: Deployment) -> Move | Outcome:
    judged = decide_now(services, guard, deployment)
    environment = guard.environment(deployment.environment)
    remarks = _remarks(services, guard, deployment)
    detail = {**judged.detail, **dict(remarks)}
    if judged.is_allowed:
        return Move(State.PERMITTED, "permitted", detail, reason=judged.reason, remarks=remarks)
    if environment is None or judged.decision is None or judged.decision.effect is not Effect.HOLD:
        return Move(State.DENIED, "denied", detail, reason=judged.reason, remarks=remarks)
    return hold(
        services,
        guard,
        deployment,
        environment=environment,
        counted=judged.votes,
        detail=judged.detail,
        reason=judged.reason,
    )


def _remarks(services: Services, guard: Guard, deployment: Deployment) -> tuple[tuple[str, str], ...]:
    """Report what came past the check before pushes, where the forge has one: whatever policy makes of it."""
    forge = guard.forges.get(deployment.repository.forge)
    if forge is None or forge.decide_secrets is None or deployment.is_rollback:
        return ()
    with services.store.reading() as unit:
        if is_checked(unit, deployment):
            return ()
    return (("unchecked", f"no check let {deployment.sha[:12]} onto {deployment.ref} before it was pushed: {WAYS_PAST}"),)
