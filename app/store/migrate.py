"""Bring the schema to its newest version: `python -m app.store.migrate`, with the owner's URL in the environment."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from app.domain.errors import GateError
from app.settings import forbid_inspection, load_settings
from app.store.engine import transaction

SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"


def alembic_config(owner_url: str, app_role: str | None) -> Config:
    """Make Alembic's configuration in code: an alembic.ini would hold a URL."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["url"] = owner_url
    config.attributes["app_role"] = app_role
    return config


def upgrade(owner_url: str, app_url: str, revision: str = "head") -> None:
    """Migrate to `revision` as the owner, and grant the application's role its rights."""
    command.upgrade(alembic_config(owner_url, make_url(app_url).username), revision)


def is_current(engine: Engine) -> bool:
    """Tell whether the database is at the newest version that this code knows, or at a newer one; raises StoreUnavailable.

    Migrations suit the running version, so it stays ready after a newer release has migrated.
    """
    scripts = ScriptDirectory(str(SCRIPTS))
    with transaction(engine) as connection:
        revision = MigrationContext.configure(connection).get_current_revision()
    older = {script.revision for script in scripts.walk_revisions()} - {scripts.get_current_head()}
    return revision is not None and revision not in older


def main() -> None:
    """Migrate the database that the settings name."""
    forbid_inspection()
    try:
        settings = load_settings()
    except GateError as fault:
        sys.exit(str(fault))
    app_url = settings.database_url.get_secret_value()
    owner = settings.owner_database_url
    try:
        upgrade(owner.get_secret_value() if owner else app_url, app_url)
    except OperationalError as fault:
        sys.exit(f"the schema could not be migrated: {str(fault.orig).strip().splitlines()[0]}")


if __name__ == "__main__":
    main()
