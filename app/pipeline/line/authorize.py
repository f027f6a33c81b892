"""Stage 2: ask whether this principal may bring these commits to this environment now. Next: `grant.py`, or `hold.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.domain.decision import Effect
from app.domain.deployment import Deployment, Stage, State, Trigger
from app.pipeline.decide.judgement import Judgement, decide_now
from app.pipeline.line.hold import hold, why_unsettled
from app.pipeline.line.stage import Move, Outcome, run_stage
from app.pipeline.ports.services import Guard, Services

WAYS_PAST = "it was merged or released in the forge's pages, or pushed while the check was missing or let all through"
SAID = 3  # commits that a remark names


def authorize(services: Services, deployment_id: str) -> Outcome:
    """Run `check_permission`."""
    return run_stage(services, deployment_id, Stage.CHECK_PERMISSION, lambda d: _decide(services, services.guard(), d))


def _decide(services: Services, guard: Guard, deployment: Deployment) -> Move | Outcome:
    if deployment.doubt is not None and deployment.doubt.is_hopeless:
        return Move(State.DENIED, reason=deployment.doubt.why)
    judgement = decide_now(services, guard, deployment)
    case, decision = judgement.case, judgement.decision
    doubt = why_unsettled(deployment, case)
    if doubt is not None:
        judgement = replace(judgement, reason=doubt if judgement.is_allowed else f"{judgement.reason}; {doubt}")
    if case is not None and decision is not None and (decision.effect is Effect.HOLD or (judgement.is_allowed and doubt)):
        return hold(services, deployment, judgement, case)
    remarks = _remarks(services, guard, deployment, judgement)
    detail = {**judgement.detail, **dict(remarks)}
    if judgement.is_allowed:
        return Move(State.PERMITTED, detail, reason=judgement.reason, remarks=remarks)
    return Move(State.DENIED, detail, reason=judgement.reason, remarks=remarks)


def _remarks(services: Services, guard: Guard, deployment: Deployment, judgement: Judgement) -> tuple[tuple[str, str], ...]:
    """Tell of an override as soon as it is permitted, and of a commit that bypassed the check before pushes."""
    overridden = (("overridden", judgement.reason),) if deployment.trigger is Trigger.OVERRIDE and judgement.is_allowed else ()
    return (*overridden, *_bypass(services, guard, deployment, judgement))


def _bypass(services: Services, guard: Guard, deployment: Deployment, judgement: Judgement) -> tuple[tuple[str, str], ...]:
    """Report a commit that bypassed the check, if the forge has one. Policies may allow it all the same."""
    forge = guard.forges.get(deployment.repository.forge)
    if forge is None or forge.decide_secrets is None or deployment.is_rollback:
        return ()
    evidence = _evidence(services, deployment, judgement)
    if evidence.get("checked_at_push", False):
        return ()
    if not evidence.get("let_onto_ref", False):
        return (("unchecked", f"no check let {deployment.sha[:12]} onto {deployment.ref} before it was pushed: {WAYS_PAST}"),)
    some = ", ".join(sha[:12] for sha in evidence.get("unchecked", ())[:SAID]) or "older commits"
    return (("unchecked", f"{deployment.sha[:12]} brings commits that no check looked at ({some}): {WAYS_PAST}"),)


def _evidence(services: Services, deployment: Deployment, judgement: Judgement) -> Mapping[str, Any]:
    """Return the evidence of the case, or of stage 1 if it was denied without a case."""
    if judgement.case is not None:
        return judgement.case.evidence
    with services.store.reading() as unit:
        identified = unit.deployments.result(deployment.id, Stage.VALIDATE_IDENTITY)
    return identified.detail if identified is not None else {}
