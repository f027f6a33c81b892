"""What a client should not send: each refused in SCIM's words, soon, and nothing of it stored."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import Engine, text

from tests.web.scim.world import GROUP, PATCH, USER, Client, World, make_world

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
SOON = 30.0  # seconds; what is not bounded takes minutes


@pytest.fixture
def world(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    made = make_world(engine, tmp_path)
    made.token()
    return made


@pytest.fixture
def client(world: World) -> Client:
    return world.client()


BODIES = [
    b"",
    b"null",
    b"[]",
    b"1",
    b'"x"',
    b"{",
    b"\xff\xfe\x00",
    b"{}",
    b'{"userName": null}',
    b'{"userName": 1}',
    b'{"userName": {"a": 1}}',
    b'{"userName": ["a"]}',
    b"[" * 200_000,
    b'{"name": ' * 50_000,
    b'{"userName": "a", "userName": "b", "active": "perhaps"}',
    b'{"schemas": ["urn:x"], "userName": "a"}',
    b'{"userName": "a\\u0000b"}',
    b'{"userName": "a", "displayName": "\\u0000"}',
    b'{"userName": "\\ud800"}',
    b'{"userName": "a", "title": "\\udc00"}',
    b'{"userName": "a", "emails": "x"}',
    b'{"userName": "a", "emails": [1]}',
    b'{"userName": "a", "active": 1e999}',
    b'{"userName": "' + b"x" * 300_000 + b'"}',
    b'{"userName": "a", "externalId": "' + b"x" * 3000 + b'"}',
    b'{"userName": "a", "x509Certificates": [{"value": "not base64!"}]}',
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:40]))
def test_garbage_is_refused_and_nothing_is_stored(world: World, client: Client, body: bytes) -> None:
    alice = client.user("alice")
    begun = time.monotonic()
    for method, path in [("POST", "/Users"), ("PUT", f"/Users/{alice}"), ("PATCH", f"/Users/{alice}"), ("POST", "/Groups")]:
        answer = client.send(method, path, body)
        assert answer.status_code == 400, (method, path, answer.status_code, answer.json)
        assert answer.json["status"] == "400"
    assert client.send("POST", "/Users/.search", body).status_code in (200, 400)
    assert time.monotonic() - begun < SOON
    with world.engine.connect() as connection:
        assert connection.execute(text("SELECT unique_name FROM scim_resources")).scalars().all() == ["alice"]


OPERATIONS: list[Any] = [
    None,
    [],
    {},
    [None],
    ["remove"],
    [{}],
    [{"op": "destroy", "path": "members"}],
    [{"op": 1}],
    [{"op": None, "path": "members", "value": []}],
    [{"op": "remove"}],
    [{"op": "add", "path": "members"}],
    [{"op": "add", "path": "members", "value": "x"}],
    [{"op": "add", "path": "members", "value": ["x"]}],
    [{"op": "add", "path": "members", "value": [{"value": {"a": 1}}]}],
    [{"op": "add", "path": "members", "value": [{"display": "nobody"}]}],
    [{"op": "remove", "path": "members", "value": [{"value": ["x"]}]}],
    [{"op": "remove", "path": "members", "value": [1]}],
    [{"op": "remove", "path": "members", "value": [{"$ref": None}]}],
    [{"OP": "remove", "Path": "MEMBERS", "VALUE": {"display": None}}],
    [{"op": "remove", "path": "displayName"}],
    [{"op": "replace", "path": "displayName", "value": ""}],
    [{"op": "replace", "path": "displayName", "value": {"a": 1}}],
    [{"op": "replace", "path": "displayName", "value": "a\u0000"}],
    [{"op": "replace", "path": "displayName", "value": "a\nb"}],
    [{"op": "replace", "path": "id", "value": "x"}],
    [{"op": "replace", "path": "members[", "value": "x"}],
    [{"op": "replace", "path": "members[value eq]", "value": "x"}],
    [{"op": "replace", "path": 7, "value": "x"}],
    [{"op": "replace", "path": "members[" + "(" * 400 + 'value eq "x"' + ")" * 400 + "]", "value": []}],
    [{"op": "remove", "path": "members[" + " or ".join(['value eq "a"'] * 40_000) + "]"}],
    [{"op": "replace", "path": "members[not " * 60 + "x", "value": "x"}],
]


@pytest.mark.parametrize("operations", OPERATIONS, ids=lambda each: repr(each)[:60])
def test_operations_that_mean_nothing_change_nothing(world: World, client: Client, operations: Any) -> None:
    group = client.group("g", client.user("alice"))
    before = client.send("GET", f"/Groups/{group}").json
    begun = time.monotonic()
    answer = client.send("PATCH", f"/Groups/{group}", {"schemas": [PATCH], "Operations": operations})
    assert answer.status_code == 400, answer.json
    assert time.monotonic() - begun < SOON
    assert client.send("GET", f"/Groups/{group}").json == before


def test_a_patch_is_stored_whole_or_not_at_all(world: World, client: Client) -> None:
    alice = client.user("alice")
    good, bad = {"op": "replace", "path": "active", "value": False}, {"op": "replace", "path": "nonsense[", "value": 1}
    assert client.patch(f"/Users/{alice}", good, bad).status_code == 400
    assert client.send("GET", f"/Users/{alice}").json["active"] is True
    assert world.principal("alice").active


FILTERS = [
    "x",
    "userName eq",
    "userName eq alice",
    'userName xx "a"',
    'unknown eq "a"',
    'userName eq "a" and',
    "(" * 3000 + 'userName eq "a"' + ")" * 3000,
    "not (" * 700 + 'userName eq "a"' + ")" * 700,
    " or ".join(['userName eq "a"'] * 40_000),
    'userName eq "' + "a" * 500_000 + '"',
    'userName eq "a\u0000b"',
    "emails[" * 50 + "x",
    "active gt true",
]


@pytest.mark.parametrize("asked", FILTERS, ids=lambda each: each[:30])
def test_filters_that_mean_nothing_or_too_much_are_refused_soon(client: Client, asked: str) -> None:
    begun = time.monotonic()
    answer = client.send("POST", "/Users/.search", {"Filter": asked})
    assert answer.status_code == 400, answer.json
    assert answer.json["status"] == "400"
    assert client.found("Users", 'userName eq "a"') == []
    assert time.monotonic() - begun < SOON


def test_a_search_that_would_look_through_too_much_is_refused_and_one_by_name_is_not(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(5):
        client.user(f"user-{n}", title="x")
    monkeypatch.setattr("app.store.scim.search.MOST_WORK", 32)
    for query in ("sortBy=userName", 'filter=title eq "x"', 'filter=title eq "x" or userName eq "user-1"'):
        answer = client.send("GET", f"/Users?{query}")
        assert answer.status_code == 400
        assert answer.json["scimType"] == "tooMany"
    assert len(client.found("Users", 'userName eq "user-1" and title eq "x"')) == 1
    assert client.send("GET", "/Users").json["totalResults"] == 5


def test_a_patch_that_takes_too_long_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = client.user("alice")
    monkeypatch.setattr("app.web.scim.service.PATCH_SECONDS", 0.0)
    answer = client.patch(f"/Users/{alice}", *[{"op": "replace", "path": "title", "value": f"t{n}"} for n in range(50)])
    assert answer.status_code == 413
    assert "title" not in client.send("GET", f"/Users/{alice}").json


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("startIndex=-5&count=-1", 200),
        ("startIndex=x", 400),
        ("count=1e9", 400),
        ("sortBy=nonsense", 400),
        ("startIndex=99999999999", 200),
    ],
)
def test_paging_that_cannot_be_is_refused_or_empty(client: Client, query: str, status: int) -> None:
    assert client.send("GET", f"/Users?{query}").status_code == status


def test_what_is_too_large_is_refused(client: Client) -> None:
    body = json.dumps({"schemas": [USER], "userName": "a", "title": "x" * 1024 * 1024}).encode()
    answer = client.send("POST", "/Users", body)
    assert answer.status_code == 413
    assert answer.json["status"] == "413"
    group = client.group("g")
    many = [{"op": "replace", "path": "displayName", "value": f"g{n}"} for n in range(101)]
    assert client.patch(f"/Groups/{group}", *many).status_code == 413


def test_many_members_one_operation_each_are_one_look_at_the_group(client: Client) -> None:
    users = [client.user(f"user-{n}") for n in range(60)]
    group = client.group("g")
    adds = [{"op": "Add", "path": "members", "value": [{"value": user}]} for user in users * 4]
    assert client.patch(f"/Groups/{group}", *adds).status_code == 204
    assert client.members(group) == set(users)
    removes = [{"op": "Remove", "path": f'members[value eq "{user}"]'} for user in users[:50] * 4]
    assert client.patch(f"/Groups/{group}", *removes).status_code == 204
    assert client.members(group) == set(users[50:])
    replaces = [{"op": "replace", "path": "members", "value": [{"value": user}]} for user in users[:2]]
    assert client.patch(f"/Groups/{group}", *replaces).status_code == 204
    assert client.members(group) == {users[1]}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/Users/a%00b", 400),
        ("GET", "/Users/%F0%9F%91%A9", 404),
        ("GET", "/Users/..%2f..%2fetc", 404),
        ("GET", "/Nonsense", 404),
        ("GET", "/Users/a/b/c", 404),
        ("DELETE", "/Users", 405),
        ("PUT", "/Groups", 405),
        ("POST", "/ServiceProviderConfig", 405),
    ],
)
def test_paths_that_are_none_are_refused_in_scims_words(client: Client, method: str, path: str, status: int) -> None:
    answer = client.send(method, path)
    assert answer.status_code == status, answer.json
    assert answer.json["status"] == str(status)


def test_a_group_name_that_is_taken_in_another_case_is_refused(client: Client) -> None:
    client.group("Deployers")
    answer = client.send("POST", "/Groups", {"schemas": [GROUP], "displayName": "DEPLOYERS"})
    assert answer.status_code == 409


@pytest.mark.parametrize(
    "asked", ['userName eq "\\ud800"', 'externalId eq "\\udc00"', 'id eq "\\ud800"', 'userName eq "\\u0000"']
)
def test_a_filter_with_what_is_no_text_is_refused(client: Client, asked: str) -> None:
    for method, path, document in [
        ("GET", f"/Users?{urlencode({'filter': asked})}", None),
        ("POST", "/Users/.search", {"schemas": [SEARCH], "filter": asked}),
    ]:
        answer = client.send(method, path, document)
        assert (answer.status_code, answer.json["status"]) == (400, "400")
