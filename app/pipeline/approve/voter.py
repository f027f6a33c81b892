"""Who may vote on a deployment: decided for one person, by the rights of this moment. Used by `vote.py` and `waiting.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.domain.decision import Action, Decision, DecisionRequest
from app.domain.deployment import Deployment
from app.domain.environment import Environment
from app.domain.errors import Forbidden, NotAllowed
from app.domain.session import check_fresh
from app.pipeline.approve.acting_person import Person
from app.pipeline.decide.judgement import context_of
from app.pipeline.decide.tally import VoteCount, involved_in, why_no_voter
from app.pipeline.decide.what_if import explain
from app.pipeline.ports.services import Guard, Services


@dataclass(frozen=True, slots=True)
class Right:
    """The right to vote, as it was decided."""

    guard: Guard
    environment: Environment
    decision: Decision


def environment_of(guard: Guard, deployment: Deployment) -> Environment:
    """Return where a deployment goes; raises NotAllowed where the configuration has that no more."""
    environment = guard.environment(deployment.environment)
    if environment is None:
        raise NotAllowed(f"the configuration has no environment {deployment.environment} any more")
    return environment


def right_to_vote(
    services: Services,
    guard: Guard,
    deployment: Deployment,
    *,
    person: Person,
    evidence: Mapping[str, Any],
    votes: VoteCount,
) -> Right:
    """Decide whether this person may vote here now; raises Forbidden and NotAllowed."""
    environment, who = environment_of(guard, deployment), person.principal
    check_fresh(person.session, services.clock.now(), environment.approvals.session)
    if not evidence["involved_known"]:
        raise Forbidden("it brings so many commits that not all authors are known: nobody can be shown to have had no hand in it")
    is_involved = who.subject in involved_in(deployment, guard, evidence)
    context = context_of(
        services,
        guard,
        deployment,
        environment=environment,
        evidence=dict(evidence),
        session=person.session,
        votes=votes,
        is_involved=is_involved,
    )
    decision = guard.policy.decide(DecisionRequest(who, Action.APPROVE, environment.name, environment.repository, context))
    bare = why_no_voter(who, replace(decision, reason=explain(guard.policy, decision)), is_involved=is_involved)
    if bare is not None:
        raise Forbidden(bare)
    return Right(guard, environment, decision)
