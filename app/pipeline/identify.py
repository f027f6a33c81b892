"""Stage 1: who acted (the sender's account, never the pusher or an e-mail), and who wrote the commits. Next: `authorize.py`."""

from __future__ import annotations

from app.domain.deployment import Deployment, Stage, State
from app.domain.principal import Principal
from app.integrations.identity.protocol import AccessMap
from app.integrations.repositories.protocol import COMMITS_LISTED
from app.pipeline.services import Guard, Services
from app.pipeline.stage import Finding, Outcome, run_stage

AUTHORS_LISTED = 50


def identify(services: Services, deployment_id: str) -> Outcome:
    """Run `validate_identity`; raises RepositoryUnavailable where the commits cannot be read now."""
    guard = services.guard()
    return run_stage(services, deployment_id, Stage.VALIDATE_IDENTITY, lambda d: _find(guard, d))


def _find(guard: Guard, deployment: Deployment) -> Finding:
    fault, principal = proven(guard.identity, deployment)
    if principal is None:
        return Finding(State.DENIED, "denied", {"account": deployment.actor.key}, reason=fault)
    authors, is_whole = _authors(guard, deployment)
    unknown = guard.identity.unknown_emails(authors)
    detail = {
        "account": deployment.actor.key,
        "login": deployment.actor.login,
        "subject": principal.subject,
        "groups": sorted(principal.groups),
        "authors": authors[:AUTHORS_LISTED],
        "authors_known": is_whole and not unknown,
        "unknown_authors": unknown[:AUTHORS_LISTED],
    }
    return Finding(State.IDENTIFIED, "identified", detail, principal=principal.subject)


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


def _authors(guard: Guard, deployment: Deployment) -> tuple[list[str], bool]:
    """List the e-mails of who wrote and committed what is new, and tell whether that is all; a rollback brings nothing new."""
    if deployment.is_rollback:
        return [], True
    key = deployment.repository.key
    guard.repositories.fetch(key, deployment.ref, deployment.sha)
    commits = guard.repositories.authors(key, deployment.before, deployment.sha)
    emails = sorted({e for c in commits for e in (c.author_email, c.committer_email)})
    return emails, len(commits) <= COMMITS_LISTED
