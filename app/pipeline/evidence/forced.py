"""Find the commits that a ref left behind.

By ancestry, since Gogs does not report a force push (reference: internal/database/webhook.go, PushPayload). A ref is compared
with where it stood by the delivery's word, and where it is known to have stood by what was planned and released from it.
Releases of other refs in between change nothing.
"""

from __future__ import annotations

from app.domain.deployment import Deployment
from app.domain.environment import TAGS
from app.domain.push import Ground
from app.pipeline.evidence.content import LISTED
from app.pipeline.ports.services import Guard


def left_behind(guard: Guard, deployment: Deployment, ground: Ground) -> list[str]:
    """List former commits that the ref no longer contains. A tag must not move at all. A rollback moves no ref."""
    if deployment.is_rollback:
        return []
    key, sha = deployment.repository.key, deployment.sha
    former = {*ground.former, *((deployment.before,) if deployment.before is not None else ())} - {sha}
    if deployment.ref.startswith(TAGS):
        return sorted(former)[:LISTED]
    return [commit for commit in sorted(former) if not guard.repositories.is_ancestor(key, commit, sha)][:LISTED]
