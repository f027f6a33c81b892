"""Approvals of one deployment: the request, the votes on it, and whether they are enough. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """A person's answer to a deployment that waits."""

    APPROVE = "approve"
    REJECT = "reject"


class RequestState(StrEnum):
    """The state of an approval request."""

    OPEN = "open"
    GRANTED = "granted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """A number of people from any of these groups; without groups, any people who may approve."""

    count: int
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """How an environment asks for approvals. All rules must be met; `count_each`: a vote counts for each rule that it fits.

    `within`: how long a request waits, and how long a vote holds; `session`: how old the voter's sign-in may be.
    """

    rules: tuple[ApprovalRule, ...] = ()
    within: timedelta = timedelta(hours=1)
    session: timedelta = timedelta(hours=1)
    count_each: bool = False


ONE_OF_ANY = ApprovalSettings()  # if nothing is configured


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """The thing to approve: this commit, on these targets, under this version of the policies."""

    id: str
    deployment_id: str
    environment: str
    sha: str
    targets: tuple[str, ...]
    policy_digest: str
    requested_at: datetime
    expires_at: datetime
    state: RequestState = RequestState.OPEN

    def is_for(self, sha: str, targets: Sequence[str], policy_digest: str) -> bool:
        """Tell whether the request still asks for what would be deployed now."""
        return (self.sha, self.targets, self.policy_digest) == (sha, tuple(sorted(targets)), policy_digest)


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's vote on a request, given once. `context` holds the facts by which the right to vote was decided."""

    id: str
    request_id: str
    subject: str
    verdict: Verdict
    comment: str
    context: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Review:
    """Another person's look at an override, afterwards."""

    subject: str
    comment: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Tally:
    """The sum of the valid votes: their number, whether they meet the rules, and the voters' groups."""

    count: int = 0
    met: bool = False
    groups: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def as_fact(self) -> dict[str, Any]:
        """Spell the tally as a fact that policies may ask about."""
        return {"count": self.count, "met": self.met, "groups": list(self.groups)}


NO_VOTES = Tally()


@dataclass(frozen=True, slots=True)
class VoteCount:
    """The count of the votes on a deployment. `voters`: subjects whose votes count; `fallen`: those whose votes do not, and why.

    `request` is the approval request in force; `seen` is the number of votes on it.
    """

    tally: Tally = NO_VOTES
    request: ApprovalRequest | None = None
    seen: int = 0
    voters: tuple[str, ...] = ()
    fallen: tuple[tuple[str, str], ...] = ()


NO_COUNT = VoteCount()


def tally(settings: ApprovalSettings, voters: Mapping[str, frozenset[str]]) -> Tally:
    """Count valid votes, given as the voters' groups by subject. Without rules one vote is enough.

    With `count_each`, a vote counts for every rule that it fits. Else it counts for one rule: all rules together need as many
    people as they have places. A voter who fits several rules gets the place that is needed (bipartite matching; Kuhn 1955).
    """
    rules = settings.rules or (ApprovalRule(1),)
    counts = [_count_fitting(rule, voters) for rule in rules] if settings.count_each else _match(rules, voters)
    missing = tuple(_shortfall(rule, count) for rule, count in zip(rules, counts, strict=True) if count < rule.count)
    groups = sorted({group for own in voters.values() for group in own})
    return Tally(len(voters), not missing, tuple(groups), missing)


def _fits(rule: ApprovalRule, groups: frozenset[str]) -> bool:
    return not rule.groups or bool(rule.groups & groups)


def _count_fitting(rule: ApprovalRule, voters: Mapping[str, frozenset[str]]) -> int:
    return sum(_fits(rule, groups) for groups in voters.values())


def _match(rules: Sequence[ApprovalRule], voters: Mapping[str, frozenset[str]]) -> list[int]:
    """Give each voter one place, so that as many places as possible are taken; return the number taken of each rule."""
    places = [number for number, rule in enumerate(rules) for _ in range(min(rule.count, len(voters)))]
    taken: dict[int, str] = {}

    def find_place(voter: str, seen: set[int]) -> bool:
        for place, number in enumerate(places):
            if place in seen or not _fits(rules[number], voters[voter]):
                continue
            seen.add(place)
            if place not in taken or find_place(taken[place], seen):
                taken[place] = voter
                return True
        return False

    for voter in sorted(voters):
        find_place(voter, set())
    return [sum(places[place] == number for place in taken) for number in range(len(rules))]


def _shortfall(rule: ApprovalRule, count: int) -> str:
    whom = f" of {' or '.join(sorted(rule.groups))}" if rule.groups else ""
    return f"{rule.count - count} more{whom}"
