"""Gather what git shows of a deployment's commits: authors, signatures, changes, and what inspection finds in them.

It is evidence for policies, never identity. Stage 1 gathers it, and a later decision gathers it again if it may have changed
(`judgement.py`). The content of commits never changes, so the same commits are inspected once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from app.domain.deployment import Deployment
from app.domain.environment import TAGS
from app.domain.errors import UnknownCommit
from app.domain.event import Repository
from app.domain.finding import Inspection
from app.domain.principal import Principal, PrincipalKind
from app.domain.signature import Signatures, objection, summary
from app.integrations.repositories.protocol import COMMITS_LISTED, COMMITS_VERIFIED, CommitAuthor
from app.pipeline.ports.services import Guard, Services

LISTED = 50
MOST_PATHS = 2_000  # that policies see; each one is a text in every stored decision
CONTENT = ("bases", "forced", "paths", "paths_known", "findings", "inspected", "not_inspected")
NOTHING_NEW: dict[str, Any] = {"forced": False, "paths": [], "paths_known": True, "findings": [], "inspected": True}


def evidence_of(
    services: Services, guard: Guard, deployment: Deployment, known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Gather the evidence about all that is new. `known` is the evidence of an earlier look; raises RepositoryUnavailable."""
    release = None if deployment.is_rollback else _release(services, deployment)
    bases = _bases(guard, deployment, release)
    commits, is_whole = _commits(guard, deployment, bases)
    emails = sorted({e for c in commits for e in (c.author_email, c.committer_email)})
    owners = guard.identity.owners_of(emails)
    unknown = [email for email in emails if email.casefold() not in owners]
    claimants = guard.identity.claimants_of(emails)
    return {
        "authors": emails[:LISTED],
        "authors_known": is_whole and not unknown,
        "unknown_authors": unknown[:LISTED],
        "involved": sorted({p.subject for p in claimants} | {p.owner for p in claimants if p.owner is not None}),
        "involved_known": is_whole,
        **_signature_facts(guard, deployment, [c.sha for c in commits], is_whole=is_whole),
        **_content(services, guard, deployment, release=release, bases=bases, claimants=claimants, known=known),
    }


def _release(services: Services, deployment: Deployment) -> Deployment | None:
    with services.store.reading() as unit:
        release = unit.deployments.last_release(deployment.environment)
    return release if release is not None and _is_same(release.repository, deployment.repository) else None


def _bases(guard: Guard, deployment: Deployment, release: Deployment | None) -> list[str | None]:
    """List the commits to compare with: the ref's former one, and that of the environment's release.

    Without the release, commits of an earlier push that was never released would come with the next push, unseen. A rollback
    brings nothing new.
    """
    if deployment.is_rollback:
        return []
    key, repositories = deployment.repository.key, guard.repositories
    repositories.fetch(key, deployment.ref, deployment.sha)
    bases: list[str | None] = [deployment.before] if deployment.before is not None else []
    if release is not None:
        with suppress(UnknownCommit):  # its ref no longer holds it: then commits that no known branch holds count as new
            repositories.fetch(key, release.ref, release.sha)  # for a mirror that was made anew
        bases.append(release.sha)
    return bases or [None]


def _commits(guard: Guard, deployment: Deployment, bases: Sequence[str | None]) -> tuple[list[CommitAuthor], bool]:
    """List the new commits as git has them, never as the payload says; tell whether the list is complete."""
    key = deployment.repository.key
    parts = [guard.repositories.authors(key, base, deployment.sha) for base in bases]
    commits = {commit.sha: commit for part in parts for commit in part}
    return list(commits.values()), all(len(part) <= COMMITS_LISTED for part in parts)


def _is_same(one: Repository, other: Repository) -> bool:
    return (one.forge, one.id) == (other.forge, other.id)


def _content(
    services: Services,
    guard: Guard,
    deployment: Deployment,
    *,
    release: Deployment | None,
    bases: Sequence[str | None],
    claimants: Sequence[Principal],
    known: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Inspect the changes. Earlier findings still hold if they were made against the same commits."""
    if deployment.is_rollback:
        return {"bases": [], "not_inspected": "", **NOTHING_NEW}
    if known is not None and known.get("bases") == list(bases):
        return {name: known[name] for name in CONTENT}
    changes = guard.repositories.changes(deployment.repository.key, bases, deployment.sha)
    agents = frozenset(email for p in claimants if p.kind is PrincipalKind.AGENT for email in p.emails)
    return {
        "bases": list(bases),
        "forced": _is_forced(guard, deployment, release),
        **content_facts(services.inspector.inspect(changes, agents=agents)),
    }


def content_facts(inspection: Inspection) -> dict[str, Any]:
    """Spell the results of an inspection as evidence."""
    paths, are_all = path_facts(inspection.paths)
    return {
        "paths": paths,
        "paths_known": inspection.paths_known and are_all,
        "findings": [asdict(finding) for finding in inspection.findings],
        "inspected": inspection.inspected,
        "not_inspected": inspection.why_not,
    }


def path_facts(paths: Sequence[str]) -> tuple[list[str], bool]:
    """Spell changed paths so that a policy can ask with `contains`; tell whether the list is complete.

    It also lists the folders of each path (`db/migrations/`) and its suffix (`*.sql`), since Cedar compares whole texts only.
    If there are too many, folders and suffixes come before files.
    """
    parts = [PurePosixPath(path) for path in paths]
    folders = {f"{parent}/" for path in parts for parent in path.parents if str(parent) != "."}
    suffixes = {f"*{path.suffix}" for path in parts if path.suffix}
    wide = sorted(folders | suffixes)
    files = sorted(set(paths))
    return [*wide, *files][:MOST_PATHS], len(wide) + len(files) <= MOST_PATHS


def _is_forced(guard: Guard, deployment: Deployment, release: Deployment | None) -> bool:
    """Tell whether the ref left commits behind: it no longer contains its former commit, or the one released from it.

    By ancestry, since Gogs does not report a force push (reference: internal/database/webhook.go, PushPayload). A tag must
    not move at all.
    """
    key, sha = deployment.repository.key, deployment.sha
    former = {deployment.before} if deployment.before is not None else set()
    if release is not None and release.ref == deployment.ref:
        former.add(release.sha)
    if deployment.ref.startswith(TAGS):
        return any(commit != sha for commit in former)
    return not all(guard.repositories.is_ancestor(key, commit, sha) for commit in former)


def _signature_facts(guard: Guard, deployment: Deployment, new: list[str], *, is_whole: bool) -> dict[str, object]:
    """Verify the new commits and the tag, or a rollback's own commit. Without known keys no signature can be valid."""
    keys = guard.identity.commit_keys()
    if not keys:
        return {"signatures": Signatures.NONE.value, "unsigned": []}
    commits = new or [deployment.sha]
    tag = deployment.ref if deployment.ref.startswith(TAGS) and not deployment.is_rollback else None
    try:
        signatures = guard.repositories.signatures(deployment.repository.key, commits=commits, tag_ref=tag, keys=keys)
    except UnknownCommit:
        if not deployment.is_rollback:
            raise
        signatures = []  # going back must not depend on a mirror that was made anew
    owners = guard.identity.owners_of({s.committer_email for s in signatures if s.committer_email})
    is_whole = is_whole and len(commits) <= COMMITS_VERIFIED
    objections = [why for why in (objection(s, owners) for s in signatures) if why is not None]
    return {"signatures": summary(signatures, owners, is_whole=is_whole).value, "unsigned": objections[:LISTED]}
