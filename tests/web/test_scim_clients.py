"""Who may speak SCIM: tokens, their sources, how often, and what is answered while the database is away."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app.store.scim_tokens import SqlScimTokens
from app.store.session import SqlStore, make_engine
from app.web import scim_clients
from tests.fakes import FakeClock
from tests.web.scim_world import SOURCES, Client, World, make_world

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


@pytest.fixture
def world(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    made = make_world(engine, tmp_path)
    made.process.clock = FakeClock()
    return made


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
        assert SqlScimTokens(unit.connection).revoke(old, world.process.clock.now()) is not None
        assert SqlScimTokens(unit.connection).revoke(old, world.process.clock.now()) is None
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


def make_again(world: World) -> object:
    """Make the application again, with the limits as they are now."""
    from app.web.factory import create_app

    return create_app(world.process)


def test_who_guesses_is_slowed_down_and_who_is_known_does_not_notice(world: World) -> None:
    world.token()
    assert world.client().send("GET", "/Users").status_code == 200
    seen = [world.client(f"guess-{n}").send("GET", "/Users").status_code for n in range(80)]
    assert seen[0] == 401
    assert seen[-1] == 429
    assert world.client().send("GET", "/Users").status_code == 200


def test_use_is_noted_at_most_once_a_minute_and_the_source_is_heard(world: World) -> None:
    world.token()
    clock = world.process.clock
    noted = []
    for seconds in (0, 30, 31, 10):
        clock.move(seconds)
        assert world.client().send("GET", "/ServiceProviderConfig").status_code == 200
        with SqlStore(world.engine).reading() as unit:
            (token,) = SqlScimTokens(unit.connection).all()
            (state,) = unit.statements.states()
        assert state.refreshed_at == token.last_used_at
        noted.append(token.last_used_at)
    assert noted[0] == noted[1] < noted[2] == noted[3]


def test_without_the_database_the_answer_is_503_in_scims_words(world: World) -> None:
    world.process.engine = make_engine("postgresql+psycopg://nobody@127.0.0.1:1/none")
    answer = world.client().send("GET", "/Users")
    assert answer.status_code == 503
    assert answer.json["schemas"] == [ERROR]
    assert answer.headers["Retry-After"] == "5"


def test_no_more_than_a_few_requests_are_at_the_database_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.scim.PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr("app.web.scim.AT_ONCE", 1)
    world = World(make_again(world), world.process, world.engine)
    world.token()
    inside: list[int] = []

    def admit(self: object, *_: object) -> None:
        monkeypatch.undo()
        inside.append(world.client().send("GET", "/Users").status_code)
        raise RuntimeError

    monkeypatch.setattr("app.web.scim_clients.Clients.admit", admit)
    assert world.client().send("GET", "/Users").status_code == 500
    assert inside == [503]
    assert world.client().send("GET", "/Users").status_code == 200, "the place was given back"


def test_no_token_or_password_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    world.token("secret-of-okta")
    client = world.client()
    client.user("alice", password="hunter2-hunter2")
    client.send("POST", "/Users", {"userName": "bob", "password": "hunter2-hunter2", "active": "perhaps"})
    world.client("a-wrong-secret").send("GET", "/Users")
    for secret in ("secret-of-okta", "a-wrong-secret", "hunter2-hunter2"):
        assert secret not in caplog.text
