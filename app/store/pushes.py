"""Stored pushes that were allowed: each is stored once and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, select
from sqlalchemy.dialects.postgresql import insert

from app.domain.deployment import State
from app.domain.push import CheckedPush
from app.store.schema.line import deployments
from app.store.schema.pushes import checked_pushes as table


@dataclass(frozen=True, slots=True)
class SqlPushes:
    """The table of checked pushes (protocol: `pipeline.ports.stores.pushes.Pushes`)."""

    connection: Connection

    def keep(self, pushes: Sequence[CheckedPush]) -> None:
        """Store allowed pushes. The first decision about the same change of a ref by the same account stays."""
        if pushes:
            self.connection.execute(insert(table).values([asdict(push) for push in pushes]).on_conflict_do_nothing())

    def of_commits(self, forge: str, repository_id: int, shas: Sequence[str]) -> list[CheckedPush]:
        """List the allowed pushes of these commits, to any ref, in the order of their decisions."""
        fits = (table.c.forge == forge, table.c.repository_id == repository_id, table.c.sha.in_(shas))
        rows = self.connection.execute(select(table).where(*fits).order_by(table.c.decided_at, table.c.decision_id, table.c.ref))
        return [_push(row) for row in rows]

    def released(self, forge: str, repository_id: int, shas: Sequence[str]) -> set[str]:
        """Return those of these commits that were ever released; one lookup in one index."""
        fits = (deployments.c.forge == forge, deployments.c.repository_id == repository_id, deployments.c.sha.in_(shas))
        is_release = deployments.c.state == State.SUCCEEDED
        return set(self.connection.execute(select(deployments.c.sha).distinct().where(*fits, is_release)).scalars())


def _push(row: Row[Any]) -> CheckedPush:
    fields = dict(row._mapping)
    return CheckedPush(**{**fields, "bases": None if row.bases is None else tuple(row.bases)})
