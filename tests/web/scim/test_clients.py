"""Who may speak SCIM: tokens, their sources, how often, and what is answered while the database is away."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from app.bootstrap import Process
from app.domain.errors import Overloaded
from app.pipeline.people.scim_token import ScimCaller
from app.store.engine import make_engine
from app.store.unit import SqlStore
from app.web.factory import create_app
from app.web.scim import clients as scim_clients
from app.web.scim.turns import MOST_WAITING, Turns
from tests.fakes import FakeClock
from tests.web.scim.world import SOURCES, Client, World, make_world

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


@pytest.fixture
def world(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return make_world(engine, tmp_path, FakeClock())


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer ", "Basic c2VjcmV0", "Bearer wrong", "secret-of-okta", "Bearer a b", "Bearer " + "x" * 5000],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/Users"), ("GET", "/ServiceProviderConfig"), ("POST", "/x/y/z"), ("GET", "")]
)
def test_without_a_valid_token_nothing_is_answered(world: World, authorization: str | None, method: str, path: str) -> None:
    world.token()
    headers = {} if authorization is None else {"Authorization": authorization}
    answer = Client(world.app, headers).send(method, path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="SCIM"'
    assert answer.json["schemas"] == [ERROR]
    assert answer.json["status"] == "401"


def test_both_tokens_of_a_client_are_valid_until_one_is_revoked(world: World) -> None:
    old, new = world.token("old"), world.token("new")
    assert [world.client(secret).send("GET", "/Users").status_code for secret in ("old", "new")] == [200, 200]
    with SqlStore(world.engine).unit() as unit:
        assert unit.scim_tokens.revoke(old, world.process.clock.now()) is not None
        assert unit.scim_tokens.revoke(old, world.process.clock.now()) is None
    assert [world.client(secret).send("GET", "/Users").status_code for secret in ("old", "new")] == [401, 200]
    assert old != new


def test_a_token_is_kept_as_its_digest_only(world: World) -> None:
    world.token("secret-of-okta")
    world.client().send("GET", "/Users")
    with world.engine.connect() as connection:
        assert "secret-of-okta" not in str(connection.execute(text("SELECT t::text FROM scim_tokens t")).all())


def test_the_source_of_a_token_must_be_configured_as_scim(world: World) -> None:
    world.token("gone", source="gone")
    answer = world.client("gone").send("GET", "/Users")
    assert answer.status_code == 403
    assert "'gone'" in answer.json["detail"]
    world.token()
    assert world.client().send("GET", "/Users").status_code == 200
    configuration = Path("tidegate.toml")
    configuration.write_text(configuration.read_text().replace(SOURCES, '\n[identity.other]\nkind = "scim"\n'))
    assert world.client().send("GET", "/Users").status_code == 403


def test_a_client_beyond_its_limit_is_told_when_to_come_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scim_clients, "REQUESTS_A_SECOND", 0.5)
    monkeypatch.setattr(scim_clients, "REQUESTS_AT_ONCE", 2)
    limited = World(make_again(world), world.process, world.engine)
    limited.token()
    limited.token("other", source="other")
    assert [limited.client().send("GET", "/Users").status_code for _ in range(3)] == [200, 200, 429]
    refused = limited.client().send("GET", "/Users")
    assert refused.headers["Retry-After"] in ("1", "2")
    assert refused.json["status"] == "429"
    assert limited.client("other").send("GET", "/Users").status_code == 200


def make_again(world: World) -> Flask:
    """Make the application again, with the limits as they are now."""
    return create_app(world.process)


def test_who_guesses_is_slowed_down_and_whoever_has_a_token_does_not_notice(world: World) -> None:
    seen = [world.client(f"guess-{n}").send("GET", "/Users").status_code for n in range(80)]
    seen += [Client(world.app, {}).send("GET", "/Users").status_code for _ in range(2)]
    assert seen[0] == 401
    assert seen[-3:] == [429, 429, 429]
    world.token()
    assert world.client().send("GET", "/Users").status_code == 200, "its first request, from the address of who guesses"


def test_behind_the_edge_each_stranger_is_slowed_down_for_himself(world: World) -> None:
    behind = {"trusted_proxies": "127.0.0.1/32", "address_header": "X-Forwarded-For"}
    world.process.settings = world.process.settings.model_copy(update=behind)
    world = World(make_again(world), world.process, world.engine)
    client = Client(world.app, {})
    seen = [client.send("GET", "/Users", X_Forwarded_For="192.0.2.1").status_code for _ in range(70)]
    assert seen[-1] == 429
    assert client.send("GET", "/Users", X_Forwarded_For="192.0.2.2").status_code == 401


def test_use_is_noted_at_most_once_a_minute_and_the_source_is_heard(world: World) -> None:
    world.token()
    clock: Any = world.process.clock
    noted = []
    for seconds in (0, 30, 31, 10):
        clock.move(seconds)
        assert world.client().send("GET", "/ServiceProviderConfig").status_code == 200
        with SqlStore(world.engine).reading() as unit:
            (token,) = unit.scim_tokens.all()
            (state,) = unit.statements.states()
        assert state.refreshed_at == token.last_used_at
        noted.append(token.last_used_at)
    assert noted[0] == noted[1] < noted[2] == noted[3]


def test_without_the_database_the_answer_is_503_in_scims_words(world: World) -> None:
    away = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    process = Process(world.process.settings, away, world.process.celery)
    answer = World(create_app(process), process, away).client().send("GET", "/Users")
    assert answer.status_code == 503
    assert answer.json["schemas"] == [ERROR]
    assert answer.headers["Retry-After"] == "5"


@pytest.fixture
def held(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Hold the place of `directory`: a request of it is at the database, and stays."""
    world.token()
    world.token("second", client="entra")
    world.token("other", source="other")
    arrived, go, answers = threading.Event(), threading.Event(), []
    note = scim_clients.Clients.note

    def hold(self: scim_clients.Clients, caller: ScimCaller) -> None:
        if not arrived.is_set():
            arrived.set()
            go.wait(30)
        note(self, caller)

    monkeypatch.setattr("app.web.scim.clients.Clients.note", hold)
    first = threading.Thread(target=lambda: answers.append(world.client().send("GET", "/Users").status_code))
    first.start()
    assert arrived.wait(30)
    yield world
    go.set()
    first.join()
    assert answers == [200]
    assert world.client().send("GET", "/Users").status_code == 200, "the place was given back"


def test_one_request_of_a_source_is_at_the_database_at_once_and_other_sources_do_not_wait_for_it(held: World) -> None:
    for secret in ("secret-of-okta", "second"):
        refused = held.client(secret).send("GET", "/Users")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    assert held.client("other").send("GET", "/Users").status_code == 200


def test_strangers_do_not_wait_for_a_place(held: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.scim.turns.Turns.take", lambda *_: pytest.fail("a stranger asked for a place"))
    assert held.client("guess").send("GET", "/Users").status_code == 401
    assert Client(held.app, {}).send("GET", "/Users").status_code == 401
    monkeypatch.undo()


def test_who_fails_inside_gives_the_place_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.token()
    with monkeypatch.context() as patched:
        patched.setattr("app.web.scim.clients.Clients.note", lambda *_: 1 / 0)
        assert [world.client().send("GET", "/Users").status_code for _ in range(3)] == [500, 500, 500]
    assert world.client().send("GET", "/Users").status_code == 200


def test_there_is_a_bound_for_all_sources_together_and_for_those_who_wait() -> None:
    places = Turns()
    places.take("a")
    places.take("b")
    with pytest.raises(Overloaded):
        places.take("c")
    refused: list[int] = []

    def wait(number: int) -> None:
        try:
            places.take("a")
        except Overloaded:
            refused.append(number)

    waiting = [threading.Thread(target=wait, args=(number,)) for number in range(MOST_WAITING)]
    for thread in waiting:
        thread.start()
    places.leave("a")
    for thread in waiting:
        thread.join()
    assert len(refused) == MOST_WAITING - 1, "one got the place that became free"
    places.leave("b")
    places.take("c")


def test_no_token_or_password_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world.token("secret-of-okta")
    client = world.client()
    client.user("alice", password="hunter2-hunter2")
    client.send("POST", "/Users", {"userName": "bob", "password": "hunter2-hunter2", "active": "perhaps"})
    world.client("a-wrong-secret").send("GET", "/Users")
    for secret in ("secret-of-okta", "a-wrong-secret", "hunter2-hunter2"):
        assert secret not in caplog.text
