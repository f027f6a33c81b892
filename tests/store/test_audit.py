"""The audit log is only ever appended to: privileges keep the application out, a trigger keeps the owner out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from app.domain.audit import AuditAction, AuditEntry
from app.integrations.system import SystemIds
from app.stack.postgres import OWNER, EmbeddedPostgres
from app.store.engine import make_engine
from app.store.reads import Reads
from app.store.unit import SqlStore

IDS = SystemIds()
CHANGES = [
    "UPDATE audit_entries SET actor = 'nobody'",
    "UPDATE audit_entries SET detail = '{}' WHERE false",
    "DELETE FROM audit_entries",
    "DELETE FROM audit_entries WHERE false",
    "TRUNCATE audit_entries",
    "TRUNCATE audit_entries RESTART IDENTITY CASCADE",
]


@pytest.fixture
def owner(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    engine = make_engine(postgres.url(OWNER), pool_size=1)
    yield engine
    engine.dispose()


def entry(action: str = "deployment:planned", **over: object) -> AuditEntry:
    values: dict[str, object] = {
        "id": IDS.new(),
        "at": datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        "action": action,
        "actor": "gogs:2",
        "deployment_id": IDS.new(),
        "delivery_id": None,
        "correlation_id": IDS.new(),
        "detail": {"environment": "production", "targets": ["a", "b"], "text": "ü ☂"},
    }
    return AuditEntry(**{**values, **over})  # type: ignore[arg-type]


def appended(engine: Engine, *entries: AuditEntry) -> list[AuditEntry]:
    with SqlStore(engine).unit() as unit:
        unit.audit.append(entries)
    return list(entries)


def refusal(engine: Engine, statement: str) -> tuple[str, str]:
    """Run a statement that must be refused; return the SQLSTATE and the message."""
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(text(statement))
    fault = caught.value.orig
    return str(getattr(fault, "sqlstate", "")), str(fault)


def test_what_was_appended_is_read_back_whole_and_in_order(engine: Engine) -> None:
    first, second, third = appended(engine, entry("a:one"), entry("a:two"), entry("a:three"))
    found = Reads(engine).audit()
    assert [e.action for e in found] == ["a:one", "a:two", "a:three"]
    assert [e.seq for e in found] == sorted({e.seq for e in found})
    for was, is_now in zip((first, second, third), found, strict=True):
        values = ("id", "at", "actor", "deployment_id", "delivery_id", "correlation_id", "detail")
        assert {name: getattr(is_now, name) for name in values} == {name: getattr(was, name) for name in values}


def test_an_action_is_read_back_as_itself_or_as_the_text_of_another_release(engine: Engine) -> None:
    appended(engine, entry(AuditAction.DEPLOYMENT_HELD), entry("secret:rotated"))
    held, rotated = (e.action for e in Reads(engine).audit())
    assert held is AuditAction.DEPLOYMENT_HELD and rotated == "secret:rotated" and type(rotated) is str


def test_appending_nothing_is_nothing(engine: Engine) -> None:
    appended(engine)
    assert Reads(engine).audit() == []


def test_an_entry_of_a_unit_that_fails_is_not_kept(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), SqlStore(engine).unit() as unit:
        unit.audit.append([entry()])
        raise ZeroDivisionError
    assert Reads(engine).audit() == []


def test_the_same_entry_is_not_appended_twice(engine: Engine) -> None:
    (once,) = appended(engine, entry())
    with pytest.raises(DBAPIError, match="uq_audit_entries_id"):
        appended(engine, once)
    assert len(Reads(engine).audit()) == 1


@pytest.mark.parametrize("statement", CHANGES)
def test_the_application_has_no_privilege_to_change_the_log(engine: Engine, statement: str) -> None:
    (kept,) = appended(engine, entry())
    assert refusal(engine, statement) == ("42501", "permission denied for table audit_entries")
    assert [e.id for e in Reads(engine).audit()] == [kept.id]


@pytest.mark.parametrize("statement", CHANGES)
def test_the_owner_is_refused_by_the_trigger(engine: Engine, owner: Engine, statement: str) -> None:
    (kept,) = appended(engine, entry())
    state, message = refusal(owner, statement)
    assert state == "42501" and "audit entries are only ever appended" in message
    (found,) = Reads(engine).audit()
    assert (found.id, found.actor, found.detail) == (kept.id, kept.actor, kept.detail)


def test_an_upsert_of_the_owner_does_not_change_an_entry_either(engine: Engine, owner: Engine) -> None:
    (kept,) = appended(engine, entry())
    columns = "id, at, action, actor, correlation_id, detail"
    upsert = f"INSERT INTO audit_entries ({columns}) SELECT {columns} FROM audit_entries"
    _, message = refusal(owner, f"{upsert} ON CONFLICT (id) DO UPDATE SET actor = 'nobody'")
    assert "audit entries are only ever appended" in message
    assert Reads(engine).audit()[0].actor == kept.actor


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE audit_entries DISABLE TRIGGER USER",
        "DROP TRIGGER audit_entries_are_append_only ON audit_entries",
        "DROP TABLE audit_entries",
        "DROP FUNCTION refuse_audit_change() CASCADE",
        "SET session_replication_role = replica",
        "GRANT UPDATE ON audit_entries TO tidegate_app",
        "SET ROLE tidegate_owner",
    ],
)
def test_the_application_cannot_get_around_it(engine: Engine, statement: str) -> None:
    (kept,) = appended(engine, entry())
    with engine.connect() as connection:
        try:
            connection.execute(text(statement))
        except DBAPIError as fault:
            assert getattr(fault.orig, "sqlstate", None) == "42501"
        else:  # Postgres answers a GRANT by a role that may grant nothing with a warning
            assert statement.startswith("GRANT")
        connection.rollback()
    assert not Reads(engine).may_change_audit()
    assert refusal(engine, "UPDATE audit_entries SET actor = 'nobody'")[0] == "42501"
    assert [e.id for e in Reads(engine).audit()] == [kept.id]


def test_the_reads_tell_which_role_could_change_the_log(engine: Engine, owner: Engine) -> None:
    assert Reads(engine).may_change_audit() is False
    assert Reads(owner).may_change_audit() is True


@pytest.mark.parametrize("privilege", ["UPDATE", "DELETE", "TRUNCATE"])
def test_one_of_the_privileges_is_enough_to_be_told(engine: Engine, owner: Engine, privilege: str) -> None:
    with owner.begin() as connection:
        connection.execute(text(f"GRANT {privilege} ON audit_entries TO tidegate_app"))
    try:
        assert Reads(engine).may_change_audit() is True
    finally:
        with owner.begin() as connection:
            connection.execute(text(f"REVOKE {privilege} ON audit_entries FROM tidegate_app"))
    assert Reads(engine).may_change_audit() is False


def test_the_application_may_delete_and_change_only_what_moves_and_what_is_said_of_people(engine: Engine) -> None:
    query = text(
        "SELECT table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE grantee = 'tidegate_app' AND table_schema = 'public' AND privilege_type NOT IN ('SELECT', 'INSERT')"
    )
    with engine.connect() as connection:
        found = {(row[0], row[1]) for row in connection.execute(query)}
    line = {(table, "UPDATE") for table in ("deliveries", "deployments", "slots", "dispatches")}
    # revoked keys, known sources, approval requests and proposals stay known
    kept = {(table, "UPDATE") for table in ("commit_keys", "sources", "approval_requests", "proposals")}
    now = ("access_groups", "access_version", "account_links", "hints", "identities", "identity_emails", "memberships")
    people = {
        (table, may) for table in (*now, "scim_resources", "scim_tokens", "sessions", "notices") for may in ("UPDATE", "DELETE")
    }
    assert found == line | kept | people
