"""Ask for a right before anything is planned, ended or told: to override, roll back, cancel, review, and so on.

What is planned is decided again in the line, by all facts. Here the commits are not looked at: nothing is supposed to be wrong
with them, unless it is known already. So a refusal here is about the person, the place and the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain.audit import AuditAction
from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.deployment import Deployment
from app.domain.errors import Forbidden, RateLimited
from app.domain.principal import Principal
from app.domain.session import Session
from app.pipeline.decide.case import UTC, Act, local_time, ref_facts, session_facts
from app.pipeline.decide.completion import ABSENT, BEST
from app.pipeline.decide.culprits import as_text, culprits_of
from app.pipeline.decide.judgement import record_of, remember_policy
from app.pipeline.decide.what_if import explain
from app.pipeline.freeze.freeze import freezes_at
from app.pipeline.ports.services import Guard, Services


@dataclass(frozen=True, slots=True)
class Claim:
    """A right that a principal claims, in an environment or (if it is empty) at the gate itself.

    `act`: what would be planned (None: nothing). `evidence`: what is known of its commits already.
    """

    principal: Principal
    action: Action
    session: Session | None
    environment: str = ""
    repository: str = ""
    act: Act | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)


def decide_claim(services: Services, guard: Guard, claim: Claim) -> Decision:
    """Ask the policies in force about a claim."""
    now = services.clock.now()
    with services.store.reading() as unit:
        freezes = [freeze.name for freeze in freezes_at(unit, claim.environment, now)] if claim.environment else []
    environment = guard.environment(claim.environment)
    repository = environment.repository if environment is not None else claim.repository
    context = _context(guard, claim, freezes, now)
    return guard.policy.decide(DecisionRequest(claim.principal, claim.action, claim.environment, repository, context))


def check_claim(
    services: Services, guard: Guard, claim: Claim, *, about: Deployment | None = None, detail: Mapping[str, Any] | None = None
) -> Decision:
    """Make sure that a claim is permitted, or would be with enough approvals; return the decision. A refusal is audited.

    Raises Forbidden, which says what would change the answer, and RateLimited.
    """
    subject = claim.principal.subject
    if wait := services.claim_limit.take(subject, services.clock.now().timestamp()):
        raise RateLimited(f"{subject} has asked for rights too often just now", retry_after=wait)
    decision = decide_claim(services, guard, claim)
    if decision.effect is not Effect.DENY:
        return decision
    culprits = culprits_of(guard.policy, decision, claim.evidence)
    reason = explain(guard.policy, decision, culprits=as_text(culprits))
    place = {"environment": claim.environment} if claim.environment else {}
    refused = {"right": claim.action.value, **place, **(detail or {}), "reason": reason, **record_of(decision)}
    with services.store.unit() as unit:
        remember_policy(unit, guard)
        unit.audit.append([services.recorder.entry(AuditAction.RIGHT_REFUSED, refused, about=about, actor=subject)])
    raise Forbidden(reason)


def _known_facts(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Spell evidence that was kept earlier as facts. What it does not hold is left out."""
    known = {name: value for name, value in evidence.items() if name in BEST}
    return known | ({"findings": sorted({finding["kind"] for finding in known["findings"]})} if "findings" in known else {})


def _context(guard: Guard, claim: Claim, freezes: list[str], now: datetime) -> dict[str, Any]:
    environment = guard.environment(claim.environment)
    targets = environment.targets if environment is not None else ()
    act = claim.act or Act(claim.action.value, "", "", "")
    return {
        **ABSENT,
        **BEST,
        **_known_facts(claim.evidence),
        "event": act.event,
        **ref_facts(act.ref),
        "sha": act.sha,
        "actor_login": act.login,
        "environments": [claim.environment] if claim.environment else [],
        "zones": sorted({guard.target_zones[target].name for target in targets}),
        "targets": sorted(targets),
        "session": session_facts(claim.session, now),
        "frozen": bool(freezes),
        "freezes": sorted(freezes),
        **local_time(environment.time_zone if environment is not None else UTC, now),
    }
