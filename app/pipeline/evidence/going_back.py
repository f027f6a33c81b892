"""The evidence of a rollback: that of its commit against the release that stands now, like that of any other deployment.

Going back must not depend on the forge, nor on a mirror that was made anew. If the commit cannot be looked at, the facts say so,
and the policies decide: what was not looked at is never called clean.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from app.domain.deployment import Deployment, Stage
from app.domain.errors import RepositoryUnavailable, UnknownCommit
from app.domain.push import Ground
from app.pipeline.evidence.brought import brought_by
from app.pipeline.evidence.facts import CONTENT, facts_of, ground_as_json
from app.pipeline.evidence.signed import NOT_SIGNED
from app.pipeline.ports.services import Guard, Services

UNREAD = "the commit could not be read"
UNSEEN: Mapping[str, Any] = {
    "authors": [],
    "authors_known": False,
    "unknown_authors": [],
    "unknown_in": [],
    "not_listed": UNREAD,
    **NOT_SIGNED,
    "unsigned": [f"not looked at: {UNREAD}"],
    "involved": [],
    "involved_known": False,
    "unpushed": [],
    "unlinked": [],
    "checked_at_push": False,
    "let_onto_ref": False,
    "unchecked": [],
    "bases": [],
    "accepted": [],
    "agents": [],
    "forced": False,
    "left_behind": [],
    "paths": [],
    "paths_known": False,
    "findings": [],
    "inspected": False,
    "not_inspected": UNREAD,
    "is_first": False,
}
_KEPT = (*CONTENT, "authors", "authors_known", "unknown_authors", "unknown_in", "not_listed", "involved", "involved_known")


def evidence_of_rollback(
    services: Services, guard: Guard, deployment: Deployment, ground: Ground, known: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Gather it, or take what was kept with the release if the commit cannot be looked at now. Never raises for want of git.

    A rollback to the very release that stands has nothing to be compared with, so the content is judged as it was then.
    """
    with suppress(RepositoryUnavailable, UnknownCommit):
        brought = brought_by(guard, deployment, ground)
        seen = facts_of(services, guard, deployment, brought, known)
        stands = ground.release is not None and ground.release[1] == deployment.sha
        return seen | {"is_first": False} | (_kept_content(services, deployment) if stands else {})
    return {**UNSEEN, **_kept(services, deployment), "ground": ground_as_json(ground)}


def _kept_content(services: Services, deployment: Deployment) -> dict[str, Any]:
    kept = _kept(services, deployment)
    return {name: kept.get(name, UNSEEN[name]) for name in CONTENT}


def _kept(services: Services, deployment: Deployment) -> dict[str, Any]:
    """Return the facts that were gathered when this commit was first brought here; nothing if they are not there."""
    with services.store.reading() as unit:
        origin = unit.history.origin(deployment)
        result = None if origin is None else unit.deployments.result(origin.id, Stage.VALIDATE_IDENTITY)
    if result is None or origin is None or origin.sha != deployment.sha or not result.detail.get("bases"):
        return {}
    return {name: result.detail[name] for name in _KEPT if name in result.detail}
