"""Rows that tests put where no step would."""

from __future__ import annotations

from sqlalchemy import Connection, insert

from app.domain.deployment import StageResult
from app.store.schema.line import stages


def record(connection: Connection, deployment_id: str, result: StageResult) -> None:
    """Insert a stage's result by itself."""
    values = {name: getattr(result, name) for name in ("stage", "outcome", "detail", "started_at", "finished_at")}
    connection.execute(insert(stages).values(deployment_id=deployment_id, **values))
