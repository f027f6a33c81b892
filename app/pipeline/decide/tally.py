"""Count the votes on a deployment that are valid now: their voters may still approve, and they voted on the same thing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.approval import ApprovalRequest, RequestState, Verdict, Vote, VoteCount, tally
from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.deployment import Deployment
from app.domain.event import account_of
from app.domain.principal import Principal, PrincipalKind
from app.pipeline.decide.case import Case


def count_votes(case: Case, deployment: Deployment, request: ApprovalRequest | None, votes: Sequence[Vote]) -> VoteCount:
    """Count the valid votes on the standing request."""
    rules = case.environment.approvals
    if request is None or not asks_for(request, case):
        return VoteCount(tally(rules, {}), request, len(votes))
    closed_to, unproven = involved_in(case, deployment), why_unproven(case)
    voters: dict[str, frozenset[str]] = {}
    fallen: list[tuple[str, str]] = []
    for vote in votes:
        if vote.verdict is not Verdict.APPROVE:
            continue
        principal = case.guard.identity.principal(vote.subject)
        why = unproven or _why_fallen(case, vote, principal, is_involved=vote.subject in closed_to)
        if why is not None:
            fallen.append((vote.subject, why))
        elif principal is not None:
            voters[vote.subject] = principal.groups
    return VoteCount(tally(rules, voters), request, len(votes), tuple(sorted(voters)), tuple(fallen))


def asks_for(request: ApprovalRequest, case: Case) -> bool:
    """Tell whether a request asks for what would be done now: the same commit, targets and policies."""
    return request.is_for(case.act.sha, case.environment.targets, case.guard.policy.digest)


def is_current(request: ApprovalRequest, case: Case) -> bool:
    """Tell whether a request is open and asks for what would be done now."""
    return request.state is RequestState.OPEN and asks_for(request, case)


def why_unproven(case: Case) -> str | None:
    """Say why nobody can be shown to be uninvolved, or None.

    A policy about `approve` that asks for `context.involved_known` decides by itself what that means.
    """
    evidence, environment = case.evidence, case.environment
    if evidence.get("involved_known", False):
        return None
    if case.guard.policy.asks("involved_known", Action.APPROVE, environment.resources):
        return None
    why = f"{_why_unknown(evidence)}, so no approver can be shown to be uninvolved"
    return f"{why}; {advice(environment.name)}" if evidence.get("is_first", False) else why


def advice(environment: str) -> str:
    """Say how a history can be accepted unseen."""
    return (
        f"{environment} has no release to compare with, so all of its history counts: accept an older part of it unseen with "
        f"`tidegate environment baseline {environment} COMMIT --reason WHY`"
    )


def _why_unknown(evidence: Mapping[str, Any]) -> str:
    if unlinked := evidence.get("unlinked"):
        return (
            f"account {unlinked[0]} pushed some of it and is not linked to a person (tidegate access link {unlinked[0]} SUBJECT)"
        )
    if unpushed := evidence.get("unpushed"):
        return f"it is not known who pushed commit {unpushed[0][:12]}, and it is not signed"
    return "there are too many commits to know who had a hand in each"


def involved_in(case: Case, deployment: Deployment) -> frozenset[str]:
    """List the people who had a hand in a deployment and so cannot approve it: requester, pushers, authors, owners of
    agents.

    If several accounts are named as its sender, the person behind each of them is one.
    """
    others = deployment.doubt.accounts if deployment.doubt is not None else ()
    accounts = [deployment.actor, *map(account_of, others)]
    named = [principal for account in accounts if (principal := case.guard.identity.principal_of(account)) is not None]
    own = {subject for principal in named for subject in (principal.subject, principal.owner or "")}
    return frozenset({*case.evidence["involved"], *own, deployment.principal or ""} - {""})


def _why_fallen(case: Case, vote: Vote, principal: Principal | None, *, is_involved: bool) -> str | None:
    """Say why a vote no longer counts, or None."""
    environment = case.environment
    if case.now - vote.at > environment.approvals.within:
        return "the vote is too old"
    if principal is None or not principal.active:
        return "is no longer active"
    request = DecisionRequest(principal, Action.APPROVE, environment.name, environment.repository, dict(vote.context))
    return why_no_voter(principal, case.guard.policy.decide(request), is_involved=is_involved)


def why_no_voter(principal: Principal, decision: Decision, *, is_involved: bool) -> str | None:
    """Say why a principal may not approve, or None. No policy lets a machine or an agent approve, nor an involved person."""
    if principal.kind is not PrincipalKind.HUMAN:
        return f"{principal.subject} is not a person ({principal.kind}): only people approve"
    if is_involved:
        how = "asked for it, wrote or pushed some of it, or answers for an agent that did"
        return f"{principal.subject} was involved in it ({how}): another person must approve"
    return None if decision.effect is Effect.ALLOW else decision.reason
