"""How a deployment is spelled as a row of its table, and read back."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from app.domain.deployment import Deployment, Doubt, State, Trigger
from app.domain.event import Account, Repository


def deployment_from(row: Row[Any]) -> Deployment:
    """Read a deployment from its row."""
    return Deployment(
        id=row.id,
        position=row.position,
        delivery_id=row.delivery_id,
        correlation_id=row.correlation_id,
        environment=row.environment,
        repository=Repository(row.forge, row.repository_id, row.full_name, row.owner, row.owner_id),
        ref=row.ref,
        before=row.before,
        sha=row.sha,
        actor=Account(row.actor_forge, row.actor_id, row.actor_login),
        trigger=Trigger(row.trigger),
        release_id=row.release_id,
        state=State(row.state),
        reason=row.reason,
        principal=row.principal,
        created_at=row.created_at,
        updated_at=row.updated_at,
        purpose=row.purpose,
        act=row.act,
        doubt=_doubt(row.doubt),
    )


def _doubt(value: dict[str, Any] | None) -> Doubt | None:
    if value is None:
        return None
    return Doubt(value["why"], tuple(value["accounts"]), datetime.fromisoformat(value["since"]))


def doubt_json(doubt: Doubt | None) -> dict[str, Any] | None:
    """Spell a doubt as the JSON that the database stores."""
    return asdict(doubt) | {"since": doubt.since.isoformat()} if doubt is not None else None


def row_of(deployment: Deployment, due_at: datetime | None) -> dict[str, Any]:
    """Spell a deployment as its row, with the time at which it is due."""
    repository, actor = deployment.repository, deployment.actor
    plain = ("id", "position", "delivery_id", "correlation_id", "environment", "ref", "before", "sha", "trigger")
    more = ("release_id", "state", "reason", "principal", "created_at", "updated_at", "purpose", "act")
    return {
        **{name: getattr(deployment, name) for name in (*plain, *more)},
        "forge": repository.forge,
        "repository_id": repository.id,
        "full_name": repository.full_name,
        "owner": repository.owner,
        "owner_id": repository.owner_id,
        "actor_forge": actor.forge,
        "actor_id": actor.id,
        "actor_login": actor.login,
        "due_at": due_at,
        "doubt": doubt_json(deployment.doubt),
    }
