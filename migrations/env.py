"""Run migrations: one at a time (advisory lock), never waiting long for a table that the running version uses."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, pool, text

from app.store.schema.metadata import metadata

LOCK = 7243551201  # any constant: two migrations of the same database must not run together


def run() -> None:
    """Migrate online, each migration in its own transaction."""
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"SELECT pg_advisory_lock({LOCK})"))  # before the time limits: another may take its time
        connection.execute(text("SET lock_timeout = '4s'"))
        connection.execute(text("SET statement_timeout = '5s'"))
        connection.commit()
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()


run()
