"""Engines and units of work: one unit, one short transaction, one error for "the database is away"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.domain.errors import StoreUnavailable
from app.store.access import SqlAccess
from app.store.approvals import SqlApprovals
from app.store.audit import SqlAudit
from app.store.commit_keys import SqlCommitKeys
from app.store.deliveries import SqlDeliveries
from app.store.deployments import SqlDeployments
from app.store.dispatches import SqlDispatches, SqlSlots
from app.store.freezes import SqlFreezes
from app.store.hints import SqlHints
from app.store.notices import SqlOutbox
from app.store.proposals import SqlProposals
from app.store.pushes import SqlPushes
from app.store.schema.line import versions
from app.store.scim_tokens import SqlScimTokens
from app.store.sessions import SqlSessions
from app.store.statements import SqlStatements


def make_engine(url: str, *, pool_size: int = 10) -> Engine:
    """Make an engine that notices dead connections, never waits long, and speaks UTC."""
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_recycle=1800,
        connect_args={
            "connect_timeout": 3,
            "options": "-c timezone=UTC -c statement_timeout=10000 -c lock_timeout=8000"
            " -c idle_in_transaction_session_timeout=30000",
            "tcp_user_timeout": 10000,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "application_name": "tidegate",
        },
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Open a transaction; an outage of the database, at any point of it, is StoreUnavailable.

    A lost connection during COMMIT leaves the outcome unknown: every caller is written so that doing it again is safe.
    """
    with _one_error(), engine.begin() as connection:
        yield connection


@contextmanager
def one_by_one(engine: Engine) -> Iterator[Connection]:
    """Open a connection in which each statement is a transaction of its own: one round trip instead of three."""
    with _one_error(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def _one_error() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as fault:
        raise StoreUnavailable("the database cannot be used now (all connections are busy)") from fault
    except DBAPIError as fault:
        if _is_outage(fault):
            raise StoreUnavailable(f"the database cannot be used now ({type(fault).__name__})") from fault
        raise


def _is_outage(fault: DBAPIError) -> bool:
    """Tell an outage from a row that will never be taken (54…: beyond a limit of the program; PostgreSQL, appendix A)."""
    if fault.connection_invalidated:
        return True
    state = getattr(fault.orig, "sqlstate", None) or ""
    return isinstance(fault, OperationalError | InterfaceError) and not state.startswith("54")


@dataclass(frozen=True, slots=True)
class SqlUnit:
    """One transaction's view of the store (protocol: pipeline.stores.Unit)."""

    connection: Connection
    deliveries: SqlDeliveries
    deployments: SqlDeployments
    slots: SqlSlots
    dispatches: SqlDispatches
    audit: SqlAudit
    access: SqlAccess
    statements: SqlStatements
    hints: SqlHints
    commit_keys: SqlCommitKeys
    sessions: SqlSessions
    freezes: SqlFreezes
    approvals: SqlApprovals
    notices: SqlOutbox
    proposals: SqlProposals
    pushes: SqlPushes
    scim_tokens: SqlScimTokens
    known_versions: frozenset[tuple[str, str]]
    new_versions: set[tuple[str, str]]

    def remember_version(self, kind: str, digest: str, text: str) -> bool:
        """Keep a version once; True if it was not known."""
        if (kind, digest) in self.known_versions:
            return False
        self.new_versions.add((kind, digest))
        statement = insert(versions).values(kind=kind, digest=digest, text=text)
        result = self.connection.execute(statement.on_conflict_do_nothing().returning(versions.c.digest))
        return result.first() is not None


class SqlStore:
    """The database (protocol: pipeline.stores.Store)."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known_versions: frozenset[tuple[str, str]] = frozenset()  # of which it is certain that they are committed

    @contextmanager
    def unit(self) -> Iterator[SqlUnit]:
        """Open a unit: commits at the end of the block, rolls back on an exception."""
        new: set[tuple[str, str]] = set()
        with transaction(self._engine) as connection:
            yield self._unit(connection, new)
        if new:
            self._known_versions |= new

    @contextmanager
    def single(self) -> Iterator[SqlUnit]:
        """Open a unit in which each statement commits by itself."""
        with one_by_one(self._engine) as connection:
            yield self._unit(connection, set())

    reading = single  # for those who only read

    def _unit(self, connection: Connection, new: set[tuple[str, str]]) -> SqlUnit:
        return SqlUnit(
            connection,
            SqlDeliveries(connection),
            SqlDeployments(connection),
            SqlSlots(connection),
            SqlDispatches(connection),
            SqlAudit(connection),
            SqlAccess(connection),
            SqlStatements(connection),
            SqlHints(connection),
            SqlCommitKeys(connection),
            SqlSessions(connection),
            SqlFreezes(connection),
            SqlApprovals(connection),
            SqlOutbox(connection),
            SqlProposals(connection),
            SqlPushes(connection),
            SqlScimTokens(connection),
            self._known_versions,
            new,
        )
