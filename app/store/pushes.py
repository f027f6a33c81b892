"""Pushes that were let through, at rest: kept once, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, exists, select
from sqlalchemy.dialects.postgresql import insert

from app.domain.push import CheckedPush
from app.store.schema.pushes import checked_pushes as table


@dataclass(frozen=True, slots=True)
class SqlPushes:
    """Protocol: pipeline.push_stores.Pushes."""

    connection: Connection

    def keep(self, pushes: Sequence[CheckedPush]) -> None:
        """Keep what was let through; the first decision about a commit of a ref stays."""
        if pushes:
            self.connection.execute(insert(table).values([asdict(each) for each in pushes]).on_conflict_do_nothing())

    def is_checked(self, forge: str, repository_id: int, *, ref: str, sha: str) -> bool:
        """Tell whether this ref was ever allowed to be set to this commit by a push; one look into one index."""
        named = (table.c.forge == forge, table.c.repository_id == repository_id, table.c.ref == ref, table.c.sha == sha)
        return bool(self.connection.execute(select(exists().where(*named))).scalar_one())
