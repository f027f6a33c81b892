"""Stage 1: who acted (the sender's account, never the pusher or an e-mail), and who wrote the commits. Next: `authorize.py`."""

from __future__ import annotations

from contextlib import suppress

from app.domain.deployment import Deployment, Stage, State
from app.domain.environment import TAGS
from app.domain.errors import UnknownCommit
from app.domain.event import Repository
from app.domain.principal import Principal
from app.domain.signature import Signatures, objection, summary
from app.integrations.identity.protocol import AccessMap
from app.integrations.repositories.protocol import COMMITS_LISTED, COMMITS_VERIFIED, CommitAuthor
from app.pipeline.services import Guard, Services
from app.pipeline.stage import Finding, Outcome, run_stage

LISTED = 50


def identify(services: Services, deployment_id: str) -> Outcome:
    """Run `validate_identity`; raises RepositoryUnavailable where the commits cannot be read now."""
    guard = services.guard()
    return run_stage(services, deployment_id, Stage.VALIDATE_IDENTITY, lambda d: _find(services, guard, d))


def _find(services: Services, guard: Guard, deployment: Deployment) -> Finding:
    with services.store.reading() as unit:
        version = unit.access.version()  # before anything is asked of the map: later changes are looked at again
    fault, principal = proven(guard.identity, deployment)
    if principal is None:
        return Finding(State.DENIED, "denied", {"account": deployment.actor.key}, reason=fault)
    basis = {"access_version": version, "guard": guard.digest}
    detail = {**basis, **_who(deployment, principal), **wrote(services, guard, deployment)}
    return Finding(State.IDENTIFIED, "identified", detail, principal=principal.subject)


def _who(deployment: Deployment, principal: Principal) -> dict[str, object]:
    return {
        "account": deployment.actor.key,
        "login": deployment.actor.login,
        "subject": principal.subject,
        "groups": sorted(principal.groups),
    }


def wrote(services: Services, guard: Guard, deployment: Deployment) -> dict[str, object]:
    """Say who wrote and signed what is new here, all of it (evidence for policies, not identity)."""
    commits, is_whole = _commits(services, guard, deployment)
    emails = sorted({e for c in commits for e in (c.author_email, c.committer_email)})
    owners = guard.identity.owners_of(emails)
    unknown = [email for email in emails if email.casefold() not in owners]
    return {
        "authors": emails[:LISTED],
        "authors_known": is_whole and not unknown,
        "unknown_authors": unknown[:LISTED],
        **_signed(guard, deployment, [c.sha for c in commits], is_whole=is_whole),
    }


def proven(identity: AccessMap, deployment: Deployment) -> tuple[str, Principal | None]:
    """Return the active principal behind the deployment's account, or None and what would change that."""
    account = deployment.actor
    principal = identity.principal_of(account)
    if principal is None:
        return (
            f"account {account.key} ({account.login}) stands for nobody; link it: tidegate access link {account.key} SUBJECT",
            None,
        )
    if not principal.active:
        return f"{principal.subject} is not active: {principal.why_inactive}", None
    return "", principal


def _commits(services: Services, guard: Guard, deployment: Deployment) -> tuple[list[CommitAuthor], bool]:
    """List what is new, as git has it, never as the payload says, and tell whether that is all. A rollback brings nothing new.

    New is what this act brings, and what the environment's release does not hold: else whatever an earlier push brought in
    vain would come along with the next one, unseen.
    """
    if deployment.is_rollback:
        return [], True
    key, repositories = deployment.repository.key, guard.repositories
    repositories.fetch(key, deployment.ref, deployment.sha)
    with services.store.reading() as unit:
        release = unit.deployments.last_release(deployment.environment)
    bases: list[str | None] = [deployment.before] if deployment.before is not None else []
    if release is not None and _is_same(release.repository, deployment.repository):
        with suppress(UnknownCommit):  # a ref that has left it: then what no known branch holds counts as new
            repositories.fetch(key, release.ref, release.sha)  # for a mirror that was made anew
        bases.append(release.sha)
    parts = [repositories.authors(key, base, deployment.sha) for base in bases or [None]]
    commits = {commit.sha: commit for part in parts for commit in part}
    return list(commits.values()), all(len(part) <= COMMITS_LISTED for part in parts)


def _is_same(one: Repository, other: Repository) -> bool:
    return (one.forge, one.id) == (other.forge, other.id)


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
