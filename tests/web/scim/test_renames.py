"""A renamed user keeps the SCIM id and every membership; what follows to the new name, and what a new bearer never gets."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from app.domain.access import AccountLink, LinkedBy
from app.domain.event import Account
from app.domain.session import Session, StoredSession
from app.store.unit import SqlStore
from tests.web.scim.world import USER, Client, World, make_world

ACCOUNT = Account("gogs", "7", "alice")


@pytest.fixture
def world(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return make_world(engine, tmp_path)


@pytest.fixture
def client(world: World) -> Client:
    world.token()
    return world.client()


def settle(world: World, subject: str) -> None:
    """Link an account to a subject, and begin a session."""
    now = world.process.clock.now()
    with SqlStore(world.engine).unit() as unit:
        assert unit.access.link(AccountLink("gogs", "7", subject, LinkedBy.PERSON, subject, now))
        begun = Session(world.process.ids.new(), subject, "corp", now, now, "", (), "", "", "https://id.example")
        unit.sessions.add(StoredSession(begun.id, begun.id, {}, now, now, now + timedelta(hours=1), begun))


def bearer(world: World) -> str | None:
    """Return the subject for which the account stands."""
    principal = world.process.services.guard().identity.principal_of(ACCOUNT)
    return principal.subject if principal else None


def put(user_id: str, name: str, **more: Any) -> dict[str, Any]:
    return {"schemas": [USER], "id": user_id, "userName": name, **more}


@pytest.mark.parametrize("way", ["PUT", "PATCH"])
def test_a_renamed_user_keeps_id_membership_and_account(world: World, client: Client, way: str) -> None:
    alice = client.user("alice@example.com", externalId="00u1")
    deployers = client.group("deployers", alice)
    settle(world, "alice@example.com")
    if way == "PUT":
        answer = client.send("PUT", f"/Users/{alice}", put(alice, "alice.smith@example.com", externalId="00u1"))
    else:
        answer = client.patch(f"/Users/{alice}", {"op": "replace", "path": "userName", "value": "alice.smith@example.com"})
    assert answer.status_code in (200, 204)
    assert client.found("Users", 'userName eq "alice.smith@example.com"')[0]["id"] == alice
    assert client.members(deployers) == {alice}
    renamed = world.principal("alice.smith@example.com")
    assert renamed is not None and renamed.active and renamed.groups == {"deployers"}
    assert bearer(world) == "alice.smith@example.com"
    assert world.principal("alice@example.com") is None


def test_a_new_person_of_the_old_name_inherits_nothing(world: World, client: Client) -> None:
    alice = client.user("alice@example.com", externalId="00u1")
    client.group("deployers", alice)
    settle(world, "alice@example.com")
    client.patch(f"/Users/{alice}", {"op": "replace", "path": "userName", "value": "alice.smith@example.com"})
    client.user("alice@example.com", externalId="00u2")
    newcomer = world.principal("alice@example.com")
    assert newcomer is not None and (newcomer.groups, newcomer.accounts) == (frozenset(), frozenset())
    assert bearer(world) == "alice.smith@example.com"
    with SqlStore(world.engine).reading() as unit:
        assert unit.sessions.of("alice@example.com", world.process.clock.now()) == []


@pytest.mark.parametrize(
    ("before", "after"), [({}, {}), ({"externalId": "00u1"}, {"externalId": "00u2"}), ({"externalId": "00u1"}, {})]
)
def test_a_user_who_may_be_another_person_now_takes_no_account_along(
    world: World, client: Client, before: dict[str, str], after: dict[str, str]
) -> None:
    alice = client.user("alice@example.com", **before)
    settle(world, "alice@example.com")
    assert client.send("PUT", f"/Users/{alice}", put(alice, "zoe@example.com", **after)).status_code == 200
    assert bearer(world) is None


def test_an_account_follows_into_no_name_that_another_source_knows(world: World, client: Client) -> None:
    world.token("secret-of-other", source="other", client="entra")
    world.client("secret-of-other").user("bob@example.com")
    alice = client.user("alice@example.com", externalId="00u1")
    settle(world, "alice@example.com")
    client.patch(f"/Users/{alice}", {"op": "replace", "path": "userName", "value": "bob@example.com"})
    assert bearer(world) is None
