"""Engines and transactions: the time limits of a connection, and one error for "the database is away".

A step sees a transaction as its unit: `unit.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.domain.errors import StoreUnavailable


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
    """Open a transaction; raises StoreUnavailable on an outage of the database at any point.

    A lost connection during COMMIT leaves the outcome unknown. Every caller is written so that doing it again is safe.
    """
    with _outage_as_error(), engine.begin() as connection:
        yield connection


@contextmanager
def one_by_one(engine: Engine) -> Iterator[Connection]:
    """Open a connection in which each statement is a transaction of its own: one round trip instead of three."""
    with _outage_as_error(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield connection


@contextmanager
def _outage_as_error() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as fault:
        raise StoreUnavailable("the database cannot be used now (all connections are busy)") from fault
    except DBAPIError as fault:
        if _is_outage(fault):
            raise StoreUnavailable(f"the database cannot be used now ({type(fault).__name__})") from fault
        raise


def _is_outage(fault: DBAPIError) -> bool:
    """Tell an outage from a row that the database will never accept (54…: program limit exceeded; PostgreSQL, appendix A)."""
    if fault.connection_invalidated:
        return True
    state = getattr(fault.orig, "sqlstate", None) or ""
    return isinstance(fault, OperationalError | InterfaceError) and not state.startswith("54")
