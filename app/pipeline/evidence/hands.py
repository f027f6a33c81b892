"""Find who had a hand in what a deployment brings, and what of it a check looked at before it was pushed.

A commit's e-mails are its author's own word. So everybody counts who pushed one of the new commits, on any ref. A commit that
no known push covers, and that nobody has signed, may have come from anyone: then nobody can be shown to be uninvolved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from app.domain.deployment import Deployment
from app.domain.event import Account
from app.domain.push import Arrival, ArrivalKind
from app.pipeline.evidence.brought import Brought
from app.pipeline.evidence.content import LISTED
from app.pipeline.evidence.coverage import Covering, NewCommits
from app.pipeline.ports.services import Guard, Services

MOST_LOOKS = 5  # at what forced pushes left behind


@dataclass(frozen=True, slots=True)
class Hands:
    """Who pushed what is new, and what was checked before it was pushed.

    `unpushed` are new commits that no known push covers; `unchecked` are those that no check looked at. `was_let`: a check let
    the ref be set to this commit. `is_checked`: that, and a check looked at everything.
    """

    accounts: frozenset[Account]
    unpushed: tuple[str, ...]
    unchecked: tuple[str, ...]
    was_let: bool
    is_checked: bool
    is_whole: bool


def hands_in(services: Services, guard: Guard, deployment: Deployment, brought: Brought, committers: frozenset[str]) -> Hands:
    """Find them by deliveries, deployments and checks; one statement, and one more for each step of forced pushes."""
    new = brought.new
    shas = sorted({deployment.sha, *new.histories})
    arrivals = _arrivals(services, deployment, shas)
    was_let = any(a.kind is ArrivalKind.CHECK and (a.ref, a.sha) == (deployment.ref, deployment.sha) for a in arrivals)
    merges = {c.sha for c in new.commits if c.committer_email.casefold() in committers}
    pushes = _covering(services, guard, deployment, brought, [_as_push(new, a, arrivals, merges) for a in arrivals])
    checks = _covering(services, guard, deployment, brought, [a for a in arrivals if a.kind is ArrivalKind.CHECK])
    pushed, checked = pushes.of_all(), checks.of_all()
    unchecked = new.missing_from(checked.covered)
    looked_at = (not unchecked and new.is_whole) or _is_checked_whole(arrivals, deployment, brought)
    accounts = pushed.accounts | {a.account for a in arrivals if a.account is not None}
    return Hands(
        accounts=accounts,
        unpushed=tuple(new.missing_from(pushed.covered)),
        unchecked=tuple(unchecked if not looked_at else ())[:LISTED],
        was_let=was_let,
        is_checked=was_let and looked_at,
        is_whole=new.is_whole,
    )


def hand_facts(
    guard: Guard, deployment: Deployment, hands: Hands, subjects: set[str], signers: Mapping[str, str]
) -> dict[str, Any]:
    """Spell the hands as evidence. `subjects` are the authors by their own word, `signers` those of signed commits.

    The deployment's own account is left to `tally.py`, which asks for its principal as of the moment of the vote.
    """
    others = sorted(hands.accounts - {deployment.actor}, key=lambda account: account.key)
    principals = {account.key: guard.identity.principal_of(account) for account in others if account.key != deployment.actor.key}
    unlinked = [key for key, principal in principals.items() if principal is None]
    linked = [principal for principal in principals.values() if principal is not None]
    involved = subjects | {p.subject for p in linked} | {p.owner for p in linked if p.owner} | set(signers.values())
    nobodys = [sha for sha in hands.unpushed if sha not in signers]
    return {
        "involved": sorted(involved),
        "involved_known": hands.is_whole and not nobodys and not unlinked,
        "unpushed": nobodys[:LISTED],
        "unlinked": unlinked[:LISTED],
        "checked_at_push": hands.is_checked,
        "let_onto_ref": hands.was_let,
        "unchecked": list(hands.unchecked),
    }


def _arrivals(services: Services, deployment: Deployment, shas: Sequence[str]) -> list[Arrival]:
    with services.store.reading() as unit:
        return unit.history.arrivals(deployment.repository, shas)


def _as_push(new: NewCommits, arrival: Arrival, arrivals: Sequence[Arrival], merges: set[str]) -> Arrival:
    """Say what of an arrival somebody pushed.

    The forge makes a merge in its pages without a push, so that stands for its own commit alone: what was merged must have come
    by a push of its own. A rebase in its pages makes commits with one parent, which nobody pushed: it stands for nothing. A new
    ref has no former commit, so whatever is known to have come by itself is not its pusher's.
    """
    if arrival.kind is not ArrivalKind.PUSH or arrival.sha not in new.histories:
        return arrival
    if arrival.sha in merges:
        is_merge = any(commit.sha == arrival.sha and len(commit.parents) > 1 for commit in new.commits)
        return replace(arrival, bases=None if is_merge else (arrival.sha,))
    if arrival.bases:
        return arrival
    others = {a.sha for a in arrivals if a.kind is not ArrivalKind.TAG and a.sha in new.histories} - {arrival.sha}
    return replace(arrival, bases=tuple(sorted(sha for sha in others if new.numbers[sha] & new.histories[arrival.sha])))


def _covering(
    services: Services, guard: Guard, deployment: Deployment, brought: Brought, arrivals: Sequence[Arrival]
) -> Covering:
    """Put arrivals by commit, and add those of the commits that forced pushes left behind."""
    key, new = deployment.repository.key, brought.new

    @cache
    def is_settled(commit: str) -> bool:
        return commit in brought.accepted or guard.repositories.is_ancestor(key, commit, deployment.sha)

    by_sha: dict[str, list[Arrival]] = defaultdict(list)
    for arrival in arrivals:
        if arrival.kind is not ArrivalKind.TAG:
            by_sha[arrival.sha].append(arrival)
    covering = Covering(new, by_sha, is_settled)
    is_check = all(a.kind is ArrivalKind.CHECK for a in arrivals)
    for _ in range(MOST_LOOKS):
        left = covering.unknown_bases()
        if not left:
            break
        for sha in left:
            by_sha[sha] = []
        for arrival in _arrivals(services, deployment, left):
            if arrival.kind is ArrivalKind.CHECK or (arrival.kind is ArrivalKind.PUSH and not is_check):
                by_sha[arrival.sha].append(arrival)
    return covering


def _is_checked_whole(arrivals: Sequence[Arrival], deployment: Deployment, brought: Brought) -> bool:
    """Tell whether one check looked at everything since what was accepted. Then no list of commits is needed."""
    own = (a for a in arrivals if a.kind is ArrivalKind.CHECK and a.sha == deployment.sha and a.bases is not None)
    return any(all(base in brought.accepted for base in a.bases or ()) for a in own)
