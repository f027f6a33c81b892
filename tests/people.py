"""The real access map for tests: sources that say what a test wants, in a real database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine

from app.domain.access import Identity, Page, SourceKind, SourceRule
from app.domain.clock import Clock
from app.integrations.identity.file import load
from app.integrations.system import SystemIds
from app.pipeline.people.access_map import StoredAccessMap
from app.pipeline.people.scribe import Scribe
from app.store.unit import SqlStore
from tests.fakes import FakeClock

FILE = SourceRule("file", SourceKind.FILE)
PUSHED = SourceRule("directory", SourceKind.SCIM)
PULLED = SourceRule("okta", SourceKind.OKTA, timedelta(hours=1), timedelta(minutes=5), timedelta(hours=6))


def access_map(
    engine: Engine,
    folder: Path,
    people: str | None,
    *rules: SourceRule,
    clock: Clock | None = None,
    linking_forges: Mapping[str, Callable[[str], str | None]] | None = None,
) -> StoredAccessMap:
    """Make an access map under these sources, and people.toml where there is a text of it."""
    file = {}
    loaded = None
    if people is not None:
        (folder / "people.toml").write_text(people)
        loaded = load(folder / "people.toml")
        file = {"file": FILE}
    configured: Mapping[str, SourceRule] = file | {rule.name: rule for rule in rules}
    store = SqlStore(engine)
    clock = clock or FakeClock()
    return StoredAccessMap(store, clock, SystemIds(), rules=configured, people=loaded, linking_forges=linking_forges or {})


def say(people: StoredAccessMap, rule: SourceRule, page: Page, *, is_read: bool = True) -> None:
    """Have a source say something, and where it is one that is read, have it read whole with that."""
    with people.store.unit() as unit:
        unit.statements.open(rule.name, rule.kind)
        Scribe.of(people.clock, people.ids, f"source:{rule.name}").say(unit, rule.name, page)
        if is_read:
            unit.statements.heard(rule.name, people.clock.now(), whole=True)


def somebody(subject: str, *, external_id: str | None = None, is_active: bool = True, login: str = "") -> Identity:
    """Make an identity."""
    emails = frozenset({f"{subject}@example.com"})
    return Identity(external_id or f"id-{subject}", subject, is_active, login=login, emails=emails)
