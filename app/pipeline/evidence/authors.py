"""Facts about the authors and committers of what is new, by the e-mails that git records. They are claims, never identity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.deployment import Deployment
from app.domain.principal import Principal, PrincipalKind
from app.integrations.repositories.protocol import COMMITS_LISTED, CommitAuthor
from app.pipeline.evidence.content import LISTED
from app.pipeline.ports.services import Guard


@dataclass(frozen=True, slots=True)
class Authors:
    """The e-mails of the commits, each with the newest commit and the role in which it stands there; and their owners.

    The forge's own e-mail (`committers`) counts only as an author, and then belongs to nobody.
    """

    places: Mapping[str, tuple[str, str]]
    owners: Mapping[str, str]
    claimants: Sequence[Principal]
    committers: frozenset[str]

    @property
    def unknown(self) -> list[str]:
        """The e-mails that belong to no active person."""
        return [e for e in sorted(self.places) if e.casefold() in self.committers or e.casefold() not in self.owners]

    @property
    def subjects(self) -> set[str]:
        """The principals that may have written or committed it, with the people who answer for the agents among them."""
        return {p.subject for p in self.claimants} | {p.owner for p in self.claimants if p.owner is not None}

    @property
    def agents(self) -> frozenset[str]:
        """The e-mails of the agents among them."""
        return frozenset(email for p in self.claimants if p.kind is PrincipalKind.AGENT for email in p.emails)


def committers_of(guard: Guard, deployment: Deployment) -> frozenset[str]:
    """Return the e-mails under which the deployment's forge itself commits."""
    forge = guard.forges.get(deployment.repository.forge)
    return forge.committers if forge is not None else frozenset()


def authors_of(guard: Guard, commits: Sequence[CommitAuthor], committers: frozenset[str]) -> Authors:
    """Find the owners of all e-mails. What the forge committed is judged by its author."""
    places: dict[str, tuple[str, str]] = {}
    for commit in commits:
        places.setdefault(commit.author_email, (commit.sha, "author"))
        if commit.committer_email.casefold() not in committers:
            places.setdefault(commit.committer_email, (commit.sha, "committer"))
    emails = [email for email in places if email.casefold() not in committers]
    owners, claimants = guard.identity.owners_of(emails), guard.identity.claimants_of(emails)
    return Authors(places, owners, claimants, committers)


def author_facts(authors: Authors, *, is_whole: bool) -> dict[str, Any]:
    """Spell the authors as evidence; `unknown_in` names a commit for each unknown e-mail, `not_listed` the limit that was met."""
    unknown = authors.unknown
    rows = ((email, *authors.places[email]) for email in unknown[:LISTED])
    return {
        "authors": sorted(authors.places)[:LISTED],
        "authors_known": is_whole and not unknown,
        "unknown_authors": unknown[:LISTED],
        "unknown_in": [{"email": email, "commit": sha, "role": role} for email, sha, role in rows],
        "not_listed": "" if is_whole else f"it brings more than {COMMITS_LISTED} commits",
    }
