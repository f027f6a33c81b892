"""Groups and sources with more members than one statement can take as separate values (65,535)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Engine, text

from app.domain.access import Group, Identity, Page, SourceKind
from app.domain.scim import WrittenResource
from app.integrations.identity.scim import Options, group_from
from app.integrations.system import SystemClock, SystemIds
from app.store.scim.resources import Desk, SqlScim
from app.store.unit import SqlStore, SqlUnit
from app.web.scim.service import make_provider
from tests.web.scim.world import GROUP, USER

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SOURCE = "directory"
MANY, BEYOND = 30_000, 66_000


def put_users(engine: Engine, count: int) -> None:
    """Insert users, with their rows in the access map."""
    with engine.begin() as connection:
        document = f"""jsonb_build_object('schemas', jsonb_build_array('{USER}'), 'userName', 'u-' || n)"""
        connection.execute(
            text(f"""
            INSERT INTO scim_resources (source, type, id, unique_name, document, created_at, modified_at)
            SELECT '{SOURCE}', 'User', 'u-' || n, 'u-' || n, {document}, now(), now() FROM generate_series(1, {count}) n
            """)
        )
        connection.execute(text(f"INSERT INTO sources (name, kind) VALUES ('{SOURCE}', 'scim')"))
        connection.execute(
            text(f"""
            INSERT INTO identities (source, external_id, subject, login, name, active, gone, said_at)
            SELECT '{SOURCE}', 'u-' || n, 'u-' || n, 'u-' || n, '', true, false, now() FROM generate_series(1, {count}) n
            """)
        )


def memberships(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM memberships")).scalar_one())


def test_a_very_large_group_is_filled_emptied_and_filled_again_at_once(engine: Engine) -> None:
    everybody = frozenset(f"u-{n}" for n in range(MANY))
    with SqlStore(engine).unit() as unit:
        unit.statements.open(SOURCE, SourceKind.SCIM)
        for members in (everybody, frozenset[str](), everybody):
            (change,) = unit.statements.say(SOURCE, Page(groups=(Group("g", "staff", members),)), NOW)
            assert {len(cast("list[str]", change.detail[key])) for key in ("joined", "left")} == {0, MANY}
    assert memberships(engine) == MANY


def test_a_very_large_source_says_the_same_again_and_is_forgotten(engine: Engine) -> None:
    put_users(engine, BEYOND)
    people = tuple(Identity(f"u-{n}", f"u-{n}", True, login=f"u-{n}") for n in range(1, BEYOND + 1))
    with SqlStore(engine).unit() as unit:
        assert unit.statements.say(SOURCE, Page(identities=people), NOW) == []
        assert len(unit.statements.forget(SOURCE, [each.external_id for each in people], (), now=NOW)) == BEYOND


def test_a_scim_group_of_more_members_than_a_statement_takes_can_be_emptied(engine: Engine) -> None:
    put_users(engine, BEYOND)
    provider, store = make_provider(), SqlStore(engine)

    def record(unit: SqlUnit, written: WrittenResource) -> None:
        assert written.document is not None
        unit.statements.say(SOURCE, Page(groups=(group_from(written.id, written.document, Options()),)), NOW)

    storage = SqlScim(
        SOURCE,
        Desk(
            store.unit,
            lambda unit: unit.statements.open(SOURCE, SourceKind.SCIM),
            record,
            clock=SystemClock(),
            ids=SystemIds(),
            provider=provider,
        ),
    )
    kind = next(each for each in provider.resource_types if each.name == "Group")
    members = [{"value": f"u-{n}"} for n in range(1, BEYOND + 1)]
    staff: Any = provider.model_for(kind).model_validate({"schemas": [GROUP], "displayName": "staff", "members": members})
    with provider:
        made: Any = storage.create(kind, staff)
        assert memberships(engine) == BEYOND
        made.members = None
        storage.update(kind, made)
    assert memberships(engine) == 0
