"""What a deployment brings, as git has it: who wrote and signed it, what it changes, what content inspection finds in it.

Evidence for policies, never identity. Stage 1 gathers it; who decides later gathers it again where it may have changed
(`line/authorize.py`). What is in the commits themselves never changes: it is looked at once for the same commits.
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
MOST_PATHS = 2_000  # of which policies are told; each is a text in every decision that is kept
CONTENT = ("bases", "forced", "paths", "paths_known", "findings", "inspected", "not_inspected")
NOTHING_NEW: dict[str, Any] = {"forced": False, "paths": [], "paths_known": True, "findings": [], "inspected": True}


def evidence_of(
    services: Services, guard: Guard, deployment: Deployment, known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Gather what is new here, all of it. `known` is what was gathered before; raises RepositoryUnavailable."""
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
        **_signed(guard, deployment, [c.sha for c in commits], is_whole=is_whole),
        **_content(services, guard, deployment, release=release, bases=bases, claimants=claimants, known=known),
    }


def _release(services: Services, deployment: Deployment) -> Deployment | None:
    with services.store.reading() as unit:
        release = unit.deployments.last_release(deployment.environment)
    return release if release is not None and _is_same(release.repository, deployment.repository) else None


def _bases(guard: Guard, deployment: Deployment, release: Deployment | None) -> list[str | None]:
    """List what it is compared with: the ref's former commit, and what the environment's release holds.

    Else whatever an earlier push brought in vain would come along with the next one, unseen. A rollback brings nothing.
    """
    if deployment.is_rollback:
        return []
    key, repositories = deployment.repository.key, guard.repositories
    repositories.fetch(key, deployment.ref, deployment.sha)
    bases: list[str | None] = [deployment.before] if deployment.before is not None else []
    if release is not None:
        with suppress(UnknownCommit):  # a ref that has left it: then what no known branch holds counts as new
            repositories.fetch(key, release.ref, release.sha)  # for a mirror that was made anew
        bases.append(release.sha)
    return bases or [None]


def _commits(guard: Guard, deployment: Deployment, bases: Sequence[str | None]) -> tuple[list[CommitAuthor], bool]:
    """List what is new, as git has it, never as the payload says, and tell whether that is all."""
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
    """Look at what is changed; what was found before is so still, where it was compared with the same."""
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


def content_facts(found: Inspection) -> dict[str, Any]:
    """Spell what was found in the content as evidence."""
    paths, are_all = path_facts(found.paths)
    return {
        "paths": paths,
        "paths_known": found.paths_known and are_all,
        "findings": [asdict(finding) for finding in found.findings],
        "inspected": found.inspected,
        "not_inspected": found.why_not,
    }


def path_facts(paths: Sequence[str]) -> tuple[list[str], bool]:
    """Spell changed paths so that a policy can ask with `contains`; tell whether that is all of them.

    Beside each path stand the folders that it lies in (`db/migrations/`) and what it ends with (`*.sql`), since Cedar compares
    whole texts only. Where there are too many, folders and ends go before files.
    """
    parts = [PurePosixPath(path) for path in paths]
    folders = {f"{parent}/" for path in parts for parent in path.parents if str(parent) != "."}
    ends = {f"*{path.suffix}" for path in parts if path.suffix}
    wide = sorted(folders | ends)
    files = sorted(set(paths))
    return [*wide, *files][:MOST_PATHS], len(wide) + len(files) <= MOST_PATHS


def _is_forced(guard: Guard, deployment: Deployment, release: Deployment | None) -> bool:
    """Tell whether the ref left commits behind: what it stood on before, or what was released from it, is not in it any more.

    By ancestry: Gogs says nothing of force (reference: internal/database/webhook.go, PushPayload). A tag must not move at all.
    """
    key, sha = deployment.repository.key, deployment.sha
    former = {deployment.before} if deployment.before is not None else set()
    if release is not None and release.ref == deployment.ref:
        former.add(release.sha)
    if deployment.ref.startswith(TAGS):
        return any(each != sha for each in former)
    return not all(guard.repositories.is_ancestor(key, each, sha) for each in former)


def _signed(guard: Guard, deployment: Deployment, new: list[str], *, is_whole: bool) -> dict[str, object]:
    """Verify what is new and the tag; of a rollback the commit itself. Without keys nobody can have signed."""
    keys = guard.identity.commit_keys()
    if not keys:
        return {"signatures": Signatures.NONE.value, "unsigned": []}
    commits = new or [deployment.sha]
    tag = deployment.ref if deployment.ref.startswith(TAGS) and not deployment.is_rollback else None
    try:
        signed = guard.repositories.signatures(deployment.repository.key, commits=commits, tag_ref=tag, keys=keys)
    except UnknownCommit:
        if not deployment.is_rollback:
            raise
        signed = []  # going back must not hang on a mirror that was made anew
    owners = guard.identity.owners_of({s.committer_email for s in signed if s.committer_email})
    is_whole = is_whole and len(commits) <= COMMITS_VERIFIED
    objections = [why for why in (objection(s, owners) for s in signed) if why is not None]
    return {"signatures": summary(signed, owners, is_whole=is_whole).value, "unsigned": objections[:LISTED]}
