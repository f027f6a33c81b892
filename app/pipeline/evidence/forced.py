"""Tell whether a ref left commits behind.

By ancestry, since Gogs does not report a force push (reference: internal/database/webhook.go, PushPayload). A ref is compared
with where it stood by the delivery's word, and where it is known to have stood by what was planned and released from it.
Releases of other refs in between change nothing.
"""

from __future__ import annotations

from app.domain.deployment import Deployment
from app.domain.environment import TAGS
from app.domain.push import Ground
from app.pipeline.ports.services import Guard


def is_forced(guard: Guard, deployment: Deployment, ground: Ground) -> bool:
    """Tell whether the ref no longer contains one of its former commits. A tag must not move at all. A rollback moves no ref."""
    if deployment.is_rollback:
        return False
    key, sha = deployment.repository.key, deployment.sha
    former = {*ground.former, *((deployment.before,) if deployment.before is not None else ())} - {sha}
    if deployment.ref.startswith(TAGS):
        return bool(former)
    return not all(guard.repositories.is_ancestor(key, commit, sha) for commit in former)
