"""Count the votes on a deployment as they are worth now: of people who still may approve, for just what would be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.approval import NO_VOTES as NO_TALLY
from app.domain.approval import ApprovalRequest, Tally, Verdict, Vote, tally
from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.deployment import Deployment
from app.domain.environment import Environment
from app.domain.principal import Principal, PrincipalKind
from app.pipeline.ports.services import Guard, Services


@dataclass(frozen=True, slots=True)
class VoteCount:
    """What the votes come to. `seen`: how many there are on the standing request; `fallen`: who voted in vain, and why."""

    tally: Tally = NO_TALLY
    request: ApprovalRequest | None = None
    seen: int = 0
    voters: tuple[str, ...] = ()
    fallen: tuple[tuple[str, str], ...] = ()


NO_VOTES = VoteCount()


def count_votes(
    services: Services, guard: Guard, deployment: Deployment, environment: Environment, evidence: Mapping[str, Any]
) -> VoteCount:
    """Count the valid votes. `evidence` is what the deployment brings, with everybody who had a hand in it."""
    with services.store.reading() as unit:
        request = unit.approvals.standing(deployment.id)
        votes = unit.approvals.votes(request.id) if request is not None else []
    if request is None or not request.is_for(deployment.sha, environment.targets, guard.policy.digest):
        return VoteCount(tally(environment.approvals, {}), request, len(votes))
    closed_to = involved_in(deployment, guard, evidence)
    voters: dict[str, frozenset[str]] = {}
    fallen: list[tuple[str, str]] = []
    for vote in votes:
        if vote.verdict is not Verdict.APPROVE:
            continue
        principal = guard.identity.principal(vote.subject)
        why = _why_fallen(services, guard, environment, vote, principal, closed_to)
        if why is None and principal is not None:
            voters[vote.subject] = principal.groups
        else:
            fallen.append((vote.subject, why or "nobody"))
    return VoteCount(tally(environment.approvals, voters), request, len(votes), tuple(sorted(voters)), tuple(fallen))


def involved_in(deployment: Deployment, guard: Guard, evidence: Mapping[str, Any]) -> frozenset[str]:
    """List whoever had a hand in a deployment and so cannot approve it: requester, authors, who answers for agents."""
    requester = guard.identity.principal_of(deployment.actor)
    own = {requester.subject, requester.owner or ""} if requester is not None else set()
    return frozenset({*evidence["involved"], *own, deployment.principal or ""} - {""})


def _why_fallen(
    services: Services,
    guard: Guard,
    environment: Environment,
    vote: Vote,
    principal: Principal | None,
    closed_to: frozenset[str],
) -> str | None:
    """Say why a vote counts no more, or None."""
    if services.clock.now() - vote.at > environment.approvals.within:
        return "the vote is too old"
    if principal is None or not principal.active:
        return "is not active any more"
    asked = DecisionRequest(principal, Action.APPROVE, environment.name, environment.repository, dict(vote.context))
    return why_no_voter(principal, guard.policy.decide(asked), is_involved=vote.subject in closed_to)


def why_no_voter(principal: Principal, decision: Decision, *, is_involved: bool) -> str | None:
    """Say why somebody may not approve, or None. Two things no policy can grant: to be no person, and to approve one's own."""
    if principal.kind is not PrincipalKind.HUMAN:
        return f"{principal.subject} is no person ({principal.kind}): only people approve"
    if is_involved:
        return f"{principal.subject} had a hand in it (asked for it, wrote it, or answers for an agent that did): others approve"
    return None if decision.effect is Effect.ALLOW else decision.reason
