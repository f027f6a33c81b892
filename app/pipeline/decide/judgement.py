"""Decide about one deployment by the rights of this moment, for stages, votes and questions of people.

A case is gathered once, spelled for the policies (`case.py`) and decided. Nothing is read twice on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.deployment import Deployment, Stage, StageResult, Trigger
from app.domain.environment import Environment
from app.domain.errors import GateError, NotAllowed
from app.domain.event import Account
from app.domain.principal import Principal
from app.domain.session import Session, why_no_mfa
from app.integrations.identity.protocol import AccessMap
from app.pipeline.decide.case import Act, Case, facts
from app.pipeline.decide.culprits import as_text, culprits_of
from app.pipeline.decide.tally import advice, count_votes, why_unproven
from app.pipeline.decide.what_if import explain
from app.pipeline.evidence.facts import ground_as_json
from app.pipeline.evidence.gather import evidence_of, ground_of
from app.pipeline.freeze.freeze import freezes_at
from app.pipeline.ports.services import Guard, Services
from app.pipeline.ports.stores.unit import Unit

ASKED_FOR = frozenset({Trigger.OVERRIDE, Trigger.ROLLBACK})  # by a person, here
# Facts that all of a first deployment's history must meet, and that a baseline may change.
OF_HISTORY = frozenset({"authors_known", "involved_known", "paths_known", "inspected", "checked_at_push"})
EVIDENCE_HOLDS = timedelta(minutes=1)  # a source may have become stale since


@dataclass(frozen=True, slots=True)
class Judgement:
    """A decision and its case. Without them the answer is no, and `reason` says why. `culprits` name what it is about."""

    reason: str
    case: Case | None = None
    decision: Decision | None = None
    culprits: tuple[str, ...] = ()

    @property
    def is_allowed(self) -> bool:
        """Tell whether the deployment may go on."""
        return self.decision is not None and self.decision.effect is Effect.ALLOW

    @property
    def detail(self) -> dict[str, Any]:
        """The record to decide again by (invariant 10), and the voters and culprits behind the decision."""
        if self.case is None or self.decision is None:
            return {}
        votes = self.case.votes
        counted = {"voters": list(votes.voters), "fallen": dict(votes.fallen)} if votes.request else {}
        named = {"culprits": list(self.culprits)} if self.culprits else {}
        return record_of(self.decision) | counted | named


def decide_now(services: Services, guard: Guard, deployment: Deployment) -> Judgement:
    """Decide by the rights of this moment (invariants 7, 8)."""
    objection = _why_not_here(guard, deployment)
    if objection is not None:
        return Judgement(objection)
    fault, principal = active_principal(guard.identity, deployment.actor)
    if principal is None:
        return Judgement(fault)
    distrust, session = _session_of(services, guard, deployment, principal)
    if distrust is not None:
        return Judgement(distrust)
    if deployment.trigger is Trigger.OVERRIDE and (why := why_no_mfa(session, deployment.created_at)) is not None:
        return Judgement(f"an override needs a second factor: {why}")
    case = gather(services, guard, deployment, current_evidence(services, guard, deployment), session)
    keep_policy(services, guard)
    decision = decide(case, principal, action_of(deployment))
    culprits = culprits_of(guard.policy, decision, case.evidence)
    reason = decision.reason if decision.effect is Effect.ALLOW else _why_not(case, decision, culprits)
    return Judgement(reason, case, decision, culprits)


def _session_of(
    services: Services, guard: Guard, deployment: Deployment, principal: Principal
) -> tuple[str | None, Session | None]:
    """Return the session to judge by: the one in which a person asked for this, else the principal's newest one.

    Signing out, or in again, takes nothing back that was asked for. A session that was revoked does: then say so. A session of an
    issuer that is no longer configured counts as none.
    """
    with services.store.reading() as unit:
        acting = unit.sessions.acting(deployment.id) if deployment.trigger in ASKED_FOR else None
        if acting is None:
            return None, unit.sessions.newest(principal.subject, services.clock.now(), guard.issuer_urls)
    if acting.revoked_at is not None:
        when = f"{acting.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"the session in which {principal.subject} asked for it was revoked at {when}: sign in, and ask again", None
    return None, acting.facts if acting.facts.counts(guard.issuer_urls) else None


def gather(
    services: Services, guard: Guard, deployment: Deployment, evidence: Mapping[str, Any], session: Session | None = None
) -> Case:
    """Gather the case of a deployment. `session` is that of the person who acts or votes.

    Raises NotAllowed if the configuration no longer has the environment.
    """
    environment, now = environment_of(guard, deployment), services.clock.now()
    with services.store.reading() as unit:
        freezes = tuple(freeze.name for freeze in freezes_at(unit, environment.name, now))
        request = unit.approvals.standing(deployment.id)
        votes = unit.approvals.votes(request.id) if request is not None else []
    case = Case(guard, (environment,), Act.of(deployment), evidence, freezes, now, session)
    return replace(case, votes=count_votes(case, deployment, request, votes))


def decide(case: Case, principal: Principal, action: Action, repository: str | None = None) -> Decision:
    """Ask the policies: about `repository` for a push, and about the environment that is acted on for all other actions.

    Without `repository`, the spelling of tidegate.toml is used, since policies use it too.
    """
    environment = "" if action is Action.PUSH else case.environment.name
    spelled = case.environment.repository if repository is None else repository
    return case.guard.policy.decide(DecisionRequest(principal, action, environment, spelled, facts(case)))


def current_evidence(services: Services, guard: Guard, deployment: Deployment) -> dict[str, Any]:
    """Return the deployment's evidence. Gather it again if it may have changed: the owner of an e-mail, a key, the release."""
    identified = _identified(services, deployment)
    with services.store.reading() as unit:
        known = unit.access.version()
    evidence = identified.detail
    is_old = services.clock.now() - identified.finished_at > EVIDENCE_HOLDS
    ground = ground_as_json(ground_of(services, deployment))
    is_same = (known, guard.digest, ground) == tuple(evidence.get(name) for name in ("access_version", "guard", "ground"))
    return evidence if is_same and not is_old else {**evidence, **evidence_of(services, guard, deployment, evidence)}


def fresh_evidence(services: Services, guard: Guard, deployment: Deployment) -> dict[str, Any]:
    """Gather the deployment's evidence anew. What stage 1 found in the same content still holds."""
    evidence = _identified(services, deployment).detail
    return {**evidence, **evidence_of(services, guard, deployment, evidence)}


def _identified(services: Services, deployment: Deployment) -> StageResult:
    with services.store.reading() as unit:
        identified = unit.deployments.result(deployment.id, Stage.VALIDATE_IDENTITY)
    if identified is None:
        raise GateError("validate_identity has left no result")
    return identified


def keep_policy(services: Services, guard: Guard) -> None:
    """Store the version of the policies that decide, so that the decision can be made again."""
    with services.store.unit() as unit:
        remember_policy(unit, guard)


def remember_policy(unit: Unit, guard: Guard) -> None:
    """Store the version of the policies in the same transaction as the rest of this unit."""
    unit.remember_version("policy", guard.policy.digest, guard.policy.text)
    unit.remember_version("schema", guard.policy.digest, guard.policy.schema)


def action_of(deployment: Deployment) -> Action:
    """Return the action that a deployment needs the right to."""
    if deployment.trigger is Trigger.OVERRIDE:
        return Action.OVERRIDE
    return Action.ROLLBACK if deployment.is_rollback else Action.DEPLOY


def environment_of(guard: Guard, deployment: Deployment) -> Environment:
    """Return the environment of a deployment; raises NotAllowed if the configuration no longer has it."""
    environment = guard.environment(deployment.environment)
    if environment is None:
        raise NotAllowed(f"the configuration no longer has an environment {deployment.environment}")
    return environment


def active_principal(identity: AccessMap, account: Account) -> tuple[str, Principal | None]:
    """Return the active principal behind an account, with an empty text; or None, with the reason and what would help."""
    principal = identity.principal_of(account)
    if principal is None:
        link = f"link it: tidegate access link {account.key} SUBJECT"
        return f"account {account.key} ({account.login}) is not linked to a person; {link}", None
    if principal.why_barred is not None:
        return principal.why_barred, None
    return "", principal


def record_of(decision: Decision) -> dict[str, Any]:
    """Return everything that is needed to decide again (invariant 10)."""
    return {
        "effect": decision.effect.value,
        "policies": list(decision.policies),
        "policy_digest": decision.policy_digest,
        "request": decision.request,
    }


def _why_not(case: Case, decision: Decision, culprits: Sequence[str]) -> str:
    """Say the reason, its culprits, what would change the answer, and why votes do not count, since that may be the cause."""
    reason = explain(case.guard.policy, decision, culprits=as_text(culprits))
    unproven = why_unproven(case) if decision.effect is Effect.HOLD else None
    reason = f"{reason}; no vote counts yet: {unproven}" if unproven is not None else reason
    asked = case.guard.policy.about(decision.request).facts & OF_HISTORY
    is_unmet = case.evidence.get("is_first", False) and not all(case.evidence.get(fact, False) for fact in asked)
    if is_unmet and unproven is None:
        reason = f"{reason}; {advice(case.environment.name)}"
    if not case.votes.fallen:
        return reason
    return f"{reason}; votes that no longer count: " + ", ".join(f"{subject} ({why})" for subject, why in case.votes.fallen)


def _why_not_here(guard: Guard, deployment: Deployment) -> str | None:
    """Say why the present configuration does not allow the deployment, or None; it may have changed since the planning."""
    environment, repository = guard.environment(deployment.environment), deployment.repository
    if environment is None:
        return f"the configuration no longer has an environment {deployment.environment}"
    if not environment.is_of(repository):
        return f"{environment.name} deploys {environment.repository}, and not {repository.key} with the number {repository.id}"
    if not deployment.is_rollback and not environment.deploys_ref(deployment.ref):
        return f"{environment.name} no longer deploys {deployment.ref}"
    return None
