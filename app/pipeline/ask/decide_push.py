"""Decide whether an account may change these refs of a repository. The forge's pre-receive check asks before it takes a push.

The forge has admitted the account, and its git says what the push holds. The gate believes both, because the instance is
authenticated (`web/api/decide.py`). All refs are allowed or none: git takes a push whole. A push that skips the check is
caught at deployment (`line/authorize.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from app.domain.audit import AuditAction, AuditEntry
from app.domain.decision import Action, Decision, Effect
from app.domain.environment import Environment
from app.domain.event import Repository, is_zero
from app.domain.finding import Finding, Inspection
from app.domain.principal import Principal, PrincipalKind
from app.domain.push import CheckedPush, PushRequest, RefUpdate
from app.domain.session import Session
from app.domain.signature import Signatures
from app.domain.text import plain_line
from app.pipeline.ask.repository_meant import repository_meant, resource_of
from app.pipeline.decide.case import Act, Case
from app.pipeline.decide.culprits import culprits_of
from app.pipeline.decide.judgement import active_principal, decide, record_of, remember_policy
from app.pipeline.decide.what_if import explain
from app.pipeline.evidence.content import LISTED, NOTHING_NEW, content_facts, path_facts
from app.pipeline.freeze.freeze import freezes_at
from app.pipeline.ports.services import Guard, Services

MOST_UPDATES = 100
BESIDE_A_PUSH = 40  # questions about what would change denials, in all: a person waits at git for the answer
NOT_VERIFIED = "signatures are not verified at the push"
NOT_INSPECTED = Inspection(inspected=False, paths_known=False, why_not="the instance has not sent the content")


@dataclass(frozen=True, slots=True)
class RefDecision:
    """The decision about one ref: the effect, the policies behind it, and the findings in its content.

    `culprits` name what policies ask about and the push does not meet: e-mails, commits, paths, and what was not looked at.
    """

    ref: str
    effect: Effect
    policies: tuple[str, ...]
    reason: str
    findings: tuple[Finding, ...] = ()
    culprits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """The answer to a push. `id` is the correlation id of its audit entries."""

    id: str
    allowed: bool
    decisions: tuple[RefDecision, ...]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """The outcome for one ref. Without a `decision` of the policy engine the answer is no."""

    update: RefUpdate
    ref_decision: RefDecision
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class _PushFacts:
    """Facts that are the same for all refs of a push."""

    resource: str
    principal: Principal
    session: Session | None
    owners: Mapping[str, str]
    committers: frozenset[str]
    agents: frozenset[str]
    freezes: Mapping[str, tuple[str, ...]]
    now: datetime


def decide_push(services: Services, wanted: PushRequest) -> PushAnswer:
    """Decide about each ref, keep the decisions with everything needed to repeat them, and answer.

    Raises StoreUnavailable; then nothing was decided.
    """
    guard = services.guard()
    meant = replace(wanted, repository=repository_meant(services, guard, wanted.repository))
    outcomes = _outcomes(services, guard, meant)
    answer = PushAnswer(
        services.ids.new(),
        bool(outcomes) and all(outcome.ref_decision.effect is Effect.ALLOW for outcome in outcomes),
        tuple(outcome.ref_decision for outcome in outcomes),
    )
    _keep(services, guard, wanted, answer=answer, outcomes=outcomes)
    return answer


def _outcomes(services: Services, guard: Guard, wanted: PushRequest) -> list[_Outcome]:
    if len(wanted.updates) > MOST_UPDATES:
        why = f"at most {MOST_UPDATES} refs are decided at once: push in parts"
        return [_denial(wanted.updates[0], why)]
    fault, resource = resource_of(guard, wanted.repository)
    if resource is None:
        return [_denial(update, fault) for update in wanted.updates]
    fault, principal = active_principal(guard.identity, wanted.account)
    if principal is None:
        return [_denial(update, fault) for update in wanted.updates]
    facts = _push_facts(services, guard, wanted, resource=resource, principal=principal)
    return [_decide(services, guard, wanted, update=update, facts=facts) for update in wanted.updates]


def _push_facts(services: Services, guard: Guard, wanted: PushRequest, *, resource: str, principal: Principal) -> _PushFacts:
    now = services.clock.now()
    emails = {email for update in wanted.updates for email in update.emails}
    is_looked_into = any(update.changes is not None for update in wanted.updates)
    claimants = guard.identity.claimants_of(emails) if is_looked_into else []
    environments = {e.name for update in wanted.updates for e in _environments(guard, wanted.repository, update)}
    with services.store.reading() as unit:
        session = unit.sessions.newest(principal.subject, now, guard.issuer_urls)
        freezes = {name: tuple(freeze.name for freeze in freezes_at(unit, name, now)) for name in sorted(environments)}
    return _PushFacts(
        resource=resource,
        principal=principal,
        session=session,
        owners=guard.identity.owners_of(emails),
        committers=_committers(guard, wanted),
        agents=frozenset(email for p in claimants if p.kind is PrincipalKind.AGENT for email in p.emails),
        freezes=freezes,
        now=now,
    )


def _environments(guard: Guard, repository: Repository, update: RefUpdate) -> list[Environment]:
    return [e for e in guard.environments if e.is_of(repository) and e.deploys_ref(update.ref)]


def _decide(services: Services, guard: Guard, wanted: PushRequest, *, update: RefUpdate, facts: _PushFacts) -> _Outcome:
    environments = _environments(guard, wanted.repository, update)
    inspection = services.inspector.inspect(update.changes, agents=facts.agents) if update.changes is not None else NOT_INSPECTED
    case = Case(
        guard,
        tuple(environments),
        Act(update.event, update.ref, update.sha, wanted.account.login),
        _evidence(update, inspection, facts),
        tuple(sorted({name for environment in environments for name in facts.freezes[environment.name]})),
        facts.now,
        facts.session,
    )
    decision = decide(case, facts.principal, Action.PUSH, facts.resource)
    ref_decision = RefDecision(
        update.ref,
        decision.effect,
        decision.policies,
        plain_line(explain(guard.policy, decision, most=BESIDE_A_PUSH // len(wanted.updates))),
        inspection.findings,
        culprits_of(guard.policy, decision, {**case.evidence, "findings": []}),  # these are told apart, all of them
    )
    return _Outcome(update, ref_decision, decision)


def _committers(guard: Guard, wanted: PushRequest) -> frozenset[str]:
    forge = guard.forges.get(wanted.repository.forge)
    return forge.committers if forge is not None else frozenset()


def _unknown_authors(update: RefUpdate, facts: _PushFacts) -> list[str]:
    """List the e-mails that belong to no active person. What the forge committed is judged by its author."""
    own = {email for email in update.emails if email.casefold() in facts.committers}
    strange = {email for email in update.emails if email.casefold() not in facts.owners}
    return sorted((strange | own) - (own & update.committers))


def _evidence(update: RefUpdate, inspection: Inspection, facts: _PushFacts) -> dict[str, Any]:
    """Return what the instance says, as evidence. Signatures are not verified here, so there are none."""
    here = {"signatures": Signatures.NONE.value, "unsigned": [NOT_VERIFIED], "checked_at_push": True}
    left = {"forced": update.is_forced, "left_behind": [update.old] if update.is_forced else []}
    if is_zero(update.new):
        return {**NOTHING_NEW, **here, **left, "authors_known": True, "unknown_authors": []}
    unknown = _unknown_authors(update, facts)
    places = ((email, update.commit_of.get(email)) for email in unknown[:LISTED])
    paths, are_all = path_facts(update.paths)
    return {
        **content_facts(inspection),
        **here,
        "authors_known": update.emails_known and not unknown,
        "unknown_authors": unknown[:LISTED],
        "unknown_in": [{"email": email, "commit": commit, "role": ""} for email, commit in places if commit],
        "not_listed": "" if update.emails_known else "not all commits could be listed",
        **left,
        "paths": paths,
        "paths_known": update.paths_known and are_all,
    }


def _denial(update: RefUpdate, why: str) -> _Outcome:
    return _Outcome(update, RefDecision(update.ref, Effect.DENY, (), plain_line(why)))


def _keep(services: Services, guard: Guard, wanted: PushRequest, *, answer: PushAnswer, outcomes: Sequence[_Outcome]) -> None:
    """Keep the policies, the decisions and the refs that were let through, together."""
    now = services.clock.now()
    entries = [_entry(services, wanted, outcome, answer=answer, now=now) for outcome in outcomes]
    updates = [outcome.update for outcome in outcomes if answer.allowed and not is_zero(outcome.update.new)]
    pushes = [_checked(wanted, update, answer=answer, now=now) for update in updates]
    with services.store.unit() as unit:
        remember_policy(unit, guard)
        unit.audit.append(entries)
        unit.pushes.keep(sorted(pushes, key=lambda push: push.ref))


def _checked(wanted: PushRequest, update: RefUpdate, *, answer: PushAnswer, now: datetime) -> CheckedPush:
    """Return what is kept of an allowed change of a ref: the account, and what the new commits were compared with."""
    repository, account = wanted.repository, wanted.account.key
    place = (repository.forge, repository.id, update.ref, update.sha)
    return CheckedPush(*place, answer.id, now, update.old, account, update.compared_with)


def _entry(services: Services, wanted: PushRequest, outcome: _Outcome, *, answer: PushAnswer, now: datetime) -> AuditEntry:
    """Write `push:allowed` only if the push may be taken: one denied ref denies the others of its push."""
    update, ref_decision = outcome.update, outcome.ref_decision
    action = AuditAction.PUSH_ALLOWED if answer.allowed else AuditAction.PUSH_DENIED
    detail = {
        "effect": ref_decision.effect.value,
        **(record_of(outcome.decision) if outcome.decision is not None else {}),
        "event": update.event,
        "ref": update.ref,
        "old": update.old,
        "new": update.new,
        "repository": wanted.repository.key,
        "repository_id": wanted.repository.id,
        "login": wanted.account.login,
        "reason": ref_decision.reason,
        "findings": [asdict(finding) for finding in ref_decision.findings[:LISTED]],
        "culprits": list(ref_decision.culprits),
        "check_version": wanted.check_version,
    }
    return services.recorder.entry(action, detail, actor=wanted.account.key, correlation_id=answer.id, at=now)
