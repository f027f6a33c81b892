"""Other people's yes for one deployment: what is asked for, who voted, and whether that is enough. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """What somebody says to a deployment that waits."""

    APPROVE = "approve"
    REJECT = "reject"


class RequestState(StrEnum):
    """What became of a request for approvals."""

    OPEN = "open"
    GRANTED = "granted"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """So many people of any of these groups; without groups, of whoever may approve."""

    count: int
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """How an environment asks for approvals. All rules must be met; `count_each`: a vote counts for each rule that it fits.

    `within`: how long a request waits, and a vote holds; `session`: how old the voter's sign-in may be.
    """

    rules: tuple[ApprovalRule, ...] = ()
    within: timedelta = timedelta(hours=1)
    session: timedelta = timedelta(hours=1)
    count_each: bool = False


ONE_OF_ANY = ApprovalSettings()  # where nothing is configured


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What people are asked to approve: this commit, on these targets, under this version of the policies."""

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
        """Tell whether it still asks for what would be done now."""
        return (self.sha, self.targets, self.policy_digest) == (sha, tuple(sorted(targets)), policy_digest)


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's word on a request, given once. `context` is what the right to give it was decided by."""

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
    """What the valid votes come to: how many, whether they meet the rules, and the groups of who gave them."""

    count: int = 0
    met: bool = False
    groups: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def as_fact(self) -> dict[str, Any]:
        """Spell it as policies may ask about it."""
        return {"count": self.count, "met": self.met, "groups": list(self.groups)}


NO_VOTES = Tally()


@dataclass(frozen=True, slots=True)
class VoteCount:
    """What the votes on a deployment come to. `voters`: whose votes count; `fallen`: whose do not, and why.

    `request` is the one that stands; `seen`: how many votes there are on it.
    """

    tally: Tally = NO_VOTES
    request: ApprovalRequest | None = None
    seen: int = 0
    voters: tuple[str, ...] = ()
    fallen: tuple[tuple[str, str], ...] = ()


NO_COUNT = VoteCount()


def tally(settings: ApprovalSettings, voters: Mapping[str, frozenset[str]]) -> Tally:
    """Count valid votes, given as the voters' groups by subject. Without rules one vote is enough.

    One vote counts for one rule, unless `count_each`: then it takes as many people as places to meet all rules, and whoever
    fits several is put where he is needed (a matching of voters and places; Kuhn 1955).
    """
    rules = settings.rules or (ApprovalRule(1),)
    placed = [_fitting(rule, voters) for rule in rules] if settings.count_each else _matched(rules, voters)
    missing = tuple(_spelled(rule, count) for rule, count in zip(rules, placed, strict=True) if count < rule.count)
    groups = sorted({group for own in voters.values() for group in own})
    return Tally(len(voters), not missing, tuple(groups), missing)


def _fits(rule: ApprovalRule, groups: frozenset[str]) -> bool:
    return not rule.groups or bool(rule.groups & groups)


def _fitting(rule: ApprovalRule, voters: Mapping[str, frozenset[str]]) -> int:
    return sum(_fits(rule, groups) for groups in voters.values())


def _matched(rules: Sequence[ApprovalRule], voters: Mapping[str, frozenset[str]]) -> list[int]:
    """Give each voter one place, so that as many places as possible are taken; return how many of each rule."""
    places = [number for number, rule in enumerate(rules) for _ in range(min(rule.count, len(voters)))]
    taken: dict[int, str] = {}

    def find(voter: str, seen: set[int]) -> bool:
        for place, number in enumerate(places):
            if place in seen or not _fits(rules[number], voters[voter]):
                continue
            seen.add(place)
            if place not in taken or find(taken[place], seen):
                taken[place] = voter
                return True
        return False

    for voter in sorted(voters):
        find(voter, set())
    return [sum(places[place] == number for place in taken) for number in range(len(rules))]


def _spelled(rule: ApprovalRule, count: int) -> str:
    whom = f" of {' or '.join(sorted(rule.groups))}" if rule.groups else ""
    return f"{rule.count - count} more{whom}"
