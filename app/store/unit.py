"""Units of work: each unit is one short transaction. A new room of the store is one line in `SqlUnit`.

Engines and transactions: `engine.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.dialects.postgresql import insert

from app.store.access import SqlAccess
from app.store.acts import SqlActs
from app.store.approvals import SqlApprovals
from app.store.audit import SqlAudit
from app.store.commit_keys import SqlCommitKeys
from app.store.deliveries import SqlDeliveries
from app.store.deployments import SqlDeployments
from app.store.dispatches import SqlDispatches, SqlSlots
from app.store.engine import one_by_one, transaction
from app.store.freezes import SqlFreezes
from app.store.hints import SqlHints
from app.store.history import SqlBaselines, SqlHistory
from app.store.notices import SqlOutbox
from app.store.proposals import SqlProposals
from app.store.pushes import SqlPushes
from app.store.schema.line import versions
from app.store.scim_tokens import SqlScimTokens
from app.store.sessions import SqlSessions
from app.store.statements import SqlStatements

Room = TypeVar("Room")
Version = tuple[str, str]  # kind and digest


def _room(open_room: Callable[[Connection], Room]) -> cached_property[Room]:
    """Open a room when a step first asks for it."""
    return cached_property(lambda unit: open_room(unit.connection))


class SqlUnit:
    """One transaction's view of the store (protocol: `pipeline.ports.stores.unit.Unit`)."""

    deliveries = _room(SqlDeliveries)
    deployments = _room(SqlDeployments)
    acts = _room(SqlActs)
    slots = _room(SqlSlots)
    dispatches = _room(SqlDispatches)
    audit = _room(SqlAudit)
    access = _room(SqlAccess)
    statements = _room(SqlStatements)
    hints = _room(SqlHints)
    commit_keys = _room(SqlCommitKeys)
    sessions = _room(SqlSessions)
    freezes = _room(SqlFreezes)
    approvals = _room(SqlApprovals)
    notices = _room(SqlOutbox)
    proposals = _room(SqlProposals)
    pushes = _room(SqlPushes)
    history = _room(SqlHistory)
    baselines = _room(SqlBaselines)
    scim_tokens = _room(SqlScimTokens)

    def __init__(self, connection: Connection, known_versions: frozenset[Version] = frozenset()) -> None:
        """See the store through `connection`. `known_versions` are surely committed, so they are not written again."""
        self.connection = connection
        self.known_versions = known_versions
        self.new_versions: set[Version] = set()

    def remember_version(self, kind: str, digest: str, text: str) -> bool:
        """Store a version once; True if it was not known."""
        if (kind, digest) in self.known_versions:
            return False
        self.new_versions.add((kind, digest))
        statement = insert(versions).values(kind=kind, digest=digest, text=text)
        result = self.connection.execute(statement.on_conflict_do_nothing().returning(versions.c.digest))
        return result.first() is not None


class SqlStore:
    """The database (protocol: `pipeline.ports.stores.unit.Store`)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known_versions: frozenset[Version] = frozenset()  # those that are surely committed

    @contextmanager
    def unit(self) -> Iterator[SqlUnit]:
        """Open a unit: commits at the end of the block, rolls back on an exception."""
        with transaction(self._engine) as connection:
            unit = SqlUnit(connection, self._known_versions)
            yield unit
        if unit.new_versions:
            self._known_versions |= unit.new_versions

    @contextmanager
    def single(self) -> Iterator[SqlUnit]:
        """Open a unit in which each statement commits by itself."""
        with one_by_one(self._engine) as connection:
            yield SqlUnit(connection, self._known_versions)

    reading = single  # for callers that only read
