"""Accept the history of a commit unseen, for one environment: from then on no fact counts it as new.

All history is new to an environment without a release. A rule that asks for known authors or checked pushes could never be met by
a repository that is older than the rule. So a person says which part of it is taken as it is, by a right of its own.
"""

from __future__ import annotations

from app.domain.audit import AuditAction
from app.domain.decision import Action, Decision
from app.domain.environment import Environment
from app.domain.errors import BadRequest, Forbidden, NotAllowed, NotFound
from app.domain.event import Account, is_object_id
from app.domain.principal import Principal, PrincipalKind
from app.domain.push import Baseline
from app.domain.text import plain_line
from app.pipeline.decide.case import Act
from app.pipeline.decide.judgement import active_principal, record_of, remember_policy
from app.pipeline.decide.right import Claim, check_claim
from app.pipeline.evidence.going_back import UNSEEN
from app.pipeline.ports.services import Guard, Services

EVENT = "baseline"


def accept_history(services: Services, name: str, commit: str, *, ref: str, reason: str, by: Account) -> Baseline:
    """Accept the history of `commit`, which `ref` holds, unseen for the environment `name`, as this account's own act.

    The right is asked for before git is. Raises NotFound (no such environment), BadRequest, UnknownCommit, RepositoryUnavailable,
    NotAllowed (it is accepted already), RateLimited and Forbidden, which says what is missing, and is audited.
    """
    guard = services.guard()
    environment = guard.environment(name)
    if environment is None:
        raise NotFound(f"there is no environment {name}")
    if not is_object_id(commit):
        raise BadRequest(f"{commit[:80]!r} is not a full commit id; `git rev-parse {commit[:40]}` prints it")
    principal = _person(guard, by)
    decision = _decide(services, guard, environment, principal, Act(EVENT, ref, commit, by.login))
    sha = guard.repositories.fetch(environment.repository, ref, commit)
    accepted = Baseline(name, environment.repository, sha, principal.subject, services.clock.now(), plain_line(reason))
    _keep(services, guard, accepted, decision)
    return accepted


def _person(guard: Guard, by: Account) -> Principal:
    fault, principal = active_principal(guard.identity, by)
    if principal is None:
        raise Forbidden(fault)
    if principal.kind is not PrincipalKind.HUMAN:
        raise Forbidden(f"{principal.subject} is not a person ({principal.kind}), and only people accept a history unseen")
    return principal


def _decide(services: Services, guard: Guard, environment: Environment, principal: Principal, act: Act) -> Decision:
    """Ask the policies. Nothing is known of the commits, since that is what the person answers for."""
    with services.store.reading() as unit:
        session = unit.sessions.newest(principal.subject, services.clock.now(), guard.issuer_urls)
    place = (environment.name, environment.repository)
    claim = Claim(principal, Action.BASELINE, session, *place, act=act, evidence=UNSEEN)
    return check_claim(services, guard, claim, detail={"sha": act.sha})


def _keep(services: Services, guard: Guard, accepted: Baseline, decision: Decision) -> None:
    detail = {"environment": accepted.environment, "repository": accepted.repository, "sha": accepted.sha}
    more = {"reason": accepted.reason, **record_of(decision)}
    with services.store.unit() as unit:
        remember_policy(unit, guard)
        if not unit.baselines.add(accepted):
            raise NotAllowed(f"{accepted.environment} accepts the history of {accepted.sha} already")
        action = AuditAction.ENVIRONMENT_BASELINED
        unit.audit.append([services.recorder.entry(action, {**detail, **more}, actor=accepted.accepted_by)])
        unit.access.raise_version()  # decisions under way are made again
