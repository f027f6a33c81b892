"""Tell which of the new commits are covered by what is known to have come: pushes, and checks before pushes. Pure.

An arrival of `sha` stands for all commits of `sha` that none of its bases contains. A base may be a commit that a forced push
left behind. Then the arrivals of that base are followed, and what none of them stands for is not covered. The sets are numbers
with one bit for each new commit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from app.domain.event import Account
from app.domain.push import Arrival
from app.integrations.repositories.protocol import CommitAuthor

DEEPEST = 10  # forced pushes that are followed one after the other


@dataclass(frozen=True)
class NewCommits:
    """The new commits, newest first, each with its parents; `is_whole`: none is missing."""

    commits: Sequence[CommitAuthor]
    is_whole: bool

    @cached_property
    def histories(self) -> dict[str, int]:
        """The set of new commits that each new commit contains."""
        histories: dict[str, int] = {}
        for number, commit in enumerate(reversed(self.commits)):  # parents come first
            own = 1 << number
            for parent in commit.parents:
                own |= histories.get(parent, 0)
            histories[commit.sha] = own
        return histories

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The set that holds each new commit alone."""
        return {commit.sha: 1 << number for number, commit in enumerate(reversed(self.commits))}

    def missing_from(self, covered: int) -> list[str]:
        """List the new commits that a set does not hold, newest first."""
        return [commit.sha for commit in self.commits if not covered & self.numbers[commit.sha]]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The set of covered commits, and the accounts behind the arrivals that were followed."""

    covered: int
    accounts: frozenset[Account]


@dataclass(frozen=True)
class Covering:
    """How arrivals cover new commits. `arrivals` are those that are known, by commit.

    `is_settled` tells whether a commit that is not new belongs to a history that was accepted.
    """

    new: NewCommits
    arrivals: Mapping[str, Sequence[Arrival]]
    is_settled: Callable[[str], bool]

    def of_all(self) -> Coverage:
        """Return all that is covered, with the accounts of every arrival of a new commit."""
        covered, accounts = 0, set[Account]()
        for sha in self.new.histories:
            for arrival in self.arrivals.get(sha, ()):
                own = self._of(arrival)
                covered |= own.covered
                accounts |= own.accounts
        return Coverage(covered, frozenset(accounts))

    def unknown_bases(self) -> list[str]:
        """List bases that are neither new nor settled, and whose arrivals are not known yet."""
        bases = {base for arrivals in self.arrivals.values() for arrival in arrivals for base in arrival.bases or ()}
        return sorted(b for b in bases - self.arrivals.keys() if b not in self.new.histories and not self.is_settled(b))

    def _of(self, arrival: Arrival) -> Coverage:
        if arrival.bases is None:
            return Coverage(self.new.numbers[arrival.sha], _account(arrival))
        left = self._left(arrival, self._left_behind)
        if left is None:
            return Coverage(0, _account(arrival))  # a base that is not known may even contain this commit
        return Coverage(self.new.histories[arrival.sha] & ~left.covered, left.accounts)

    @cached_property
    def _left_behind(self) -> dict[str, Coverage]:
        """What may be in the history of a commit that a forced push left, and is not covered by that commit's own arrivals."""
        known: dict[str, Coverage] = {}
        outside = [sha for sha in self.arrivals if sha not in self.new.histories and not self.is_settled(sha)]
        for _ in range(DEEPEST):
            found = {sha: left for sha in outside if (left := self._least_left(sha, known)) is not None}
            if found == known:
                break
            known = found
        return known

    def _least_left(self, sha: str, known: Mapping[str, Coverage]) -> Coverage | None:
        """Return the least that one of its arrivals leaves, with the accounts of all of them: each may have brought it."""
        ways = [way for arrival in self.arrivals[sha] if (way := self._left(arrival, known)) is not None]
        if not ways:
            return None
        least = min((way.covered for way in ways), key=int.bit_count)
        accounts = frozenset[Account]().union(*(way.accounts for way in ways), *map(_account, self.arrivals[sha]))
        return Coverage(least, accounts)

    def _left(self, arrival: Arrival, known: Mapping[str, Coverage]) -> Coverage | None:
        """Return what the bases of an arrival may hold; None if that is not known."""
        covered, accounts = 0, _account(arrival)
        if arrival.bases is None:
            return None
        for base in arrival.bases:
            if base in self.new.histories:
                covered |= self.new.histories[base]
            elif not self.is_settled(base):
                if base not in known:
                    return None
                covered |= known[base].covered
                accounts |= known[base].accounts
        return Coverage(covered, accounts)


def _account(arrival: Arrival) -> frozenset[Account]:
    return frozenset({arrival.account} if arrival.account is not None else ())
