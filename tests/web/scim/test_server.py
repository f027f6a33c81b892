"""The SCIM server as identity providers use it: the protocol, their ways of speaking it, and what the access map knows then."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from scim2_client.engines.wsgi import WSGISCIMClient
from scim2_tester import Status, check_server
from sqlalchemy import Engine, text

from tests.web.scim.world import ENTERPRISE, GROUP, PATCH, USER, Client, World, make_world

CLIENT = "scim:okta"


@pytest.fixture
def world(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("app.web.scim.clients.REQUESTS_AT_ONCE", 1e6)  # the checker sends some hundred as fast as it can
    made = make_world(engine, tmp_path)
    made.token()
    return made


@pytest.fixture
def client(world: World) -> Client:
    return world.client()


def test_the_compliance_checker_finds_nothing(world: World) -> None:
    environ = {"HTTP_AUTHORIZATION": "Bearer secret-of-okta"}
    checker = WSGISCIMClient(app=world.app, base_url="http://localhost/scim/v2", environ=environ)
    checker.discover()
    results = check_server(checker)
    assert [f"{r.title}: {r.reason}" for r in results if r.status is not Status.SUCCESS] == []
    assert len(results) > 100


def test_only_what_works_is_announced(client: Client) -> None:
    config = client.send("GET", "/ServiceProviderConfig").json
    assert {name: config[name]["supported"] for name in ("patch", "bulk", "filter", "changePassword", "sort", "etag")} == {
        "patch": True,
        "bulk": False,
        "filter": True,
        "changePassword": False,
        "sort": True,
        "etag": True,
    }
    assert client.send("POST", "/Bulk", {"Operations": []}).status_code == 501
    assert client.send("GET", "/Me").status_code == 501
    users = next(each for each in client.send("GET", "/Schemas").json["Resources"] if each["id"] == USER)
    assert not {"password", "groups"} & {each["name"] for each in users["attributes"]}


@pytest.mark.parametrize("path", ["", "/", "//Users", "/Users", "/Users/"])
def test_the_base_url_may_end_in_a_slash_or_not(client: Client, path: str) -> None:
    client.user("alice")
    answer = client.send("GET", f"{path}?startIndex=1&count=2")
    assert answer.status_code == 200
    assert answer.json["totalResults"] == 1
    assert answer.json["Resources"][0]["meta"]["location"].startswith("http://127.0.0.1:8300/scim/v2/Users/")


def test_okta_provisions(world: World, client: Client) -> None:
    assert client.send("GET", "/Users?startIndex=1&count=2").status_code == 200
    assert client.found("Users", 'userName eq "alice@example.com"') == []
    alice = client.user(
        "alice@example.com",
        name={"givenName": "Alice", "familyName": "Liddell"},
        displayName="Alice Liddell",
        emails=[{"primary": True, "value": "Alice@Example.com", "type": "work"}],
        externalId="00u1",
        locale="en-US",
        groups=[],
        password="hunter2-never-stored",
    )
    known = world.principal("alice@example.com")
    assert known is not None
    assert known.active
    assert known.emails == {"alice@example.com"}
    deployers = client.group("Deployers")
    assert (
        client.patch(
            f"/Groups/{deployers}", {"op": "add", "path": "members", "value": [{"value": alice, "display": "a"}]}
        ).status_code
        == 204
    )
    assert world.principal("alice@example.com").groups == {"Deployers"}
    renaming = {"op": "replace", "value": {"id": deployers, "displayName": "Releasers"}}
    assert client.patch(f"/Groups/{deployers}", renaming).status_code in (200, 204)
    assert world.principal("alice@example.com").groups == {"Releasers"}
    assert client.patch(f"/Users/{alice}", {"op": "replace", "value": {"active": False}}).status_code in (200, 204)
    assert not world.principal("alice@example.com").active
    assert client.patch(f"/Users/{alice}", {"op": "replace", "value": {"active": True}}).status_code in (200, 204)
    assert world.principal("alice@example.com").active
    replaced = {"schemas": [USER], "id": alice, "userName": "alice@example.com", "active": False, "displayName": "A. L."}
    assert client.send("PUT", f"/Users/{alice}", replaced).status_code == 200
    assert not world.principal("alice@example.com").active
    removal = {"op": "remove", "path": f'members[value eq "{alice}"]'}
    assert client.patch(f"/Groups/{deployers}", removal).status_code == 204
    assert client.members(deployers) == set()
    assert client.send("DELETE", f"/Groups/{deployers}").status_code == 204
    assert client.send("DELETE", f"/Users/{alice}").status_code == 204
    assert client.send("GET", f"/Users/{alice}").status_code == 404
    gone = world.principal("alice@example.com")
    assert gone is not None
    assert not gone.active
    assert "no longer has this identity" in gone.why_inactive
    assert world.audit() == [
        (f"access:{verb}", CLIENT)
        for verb in (
            "identity-added",
            "group-added",
            "group-changed",
            "group-changed",
            "identity-deactivated",
            "identity-activated",
            "identity-deactivated",
            "group-changed",
            "group-gone",
            "identity-gone",
        )
    ]


def test_entra_provisions(world: World, client: Client) -> None:
    assert client.found("Users", 'userName eq "bob@example.com"') == []
    bob = client.user(
        "bob@example.com",
        externalId="bob-in-entra",
        emails=[{"primary": True, "type": "work", "value": "bob@example.com"}],
        **{ENTERPRISE: {"department": "Ships"}},
        meta={"resourceType": "User"},
    )
    boss = client.user("boss@example.com")
    changed = client.patch(
        f"/Users/{bob}",
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "bob@work.example"},
        {"op": "Add", "path": 'emails[type eq "home"].value', "value": "bob@home.example"},
        {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": boss},
        {"op": "Replace", "path": "active", "value": "False"},
    )
    assert changed.status_code in (200, 204), changed.json
    known = world.principal("bob@example.com")
    assert known is not None
    assert not known.active
    assert known.emails == {"bob@work.example", "bob@home.example"}
    assert client.patch(f"/Users/{bob}", {"op": "Replace", "path": "active", "value": "True"}).status_code == 204
    assert world.principal("bob@example.com").active
    group = client.group("Sailors")
    assert (
        client.patch(f"/Groups/{group}", {"op": "Add", "path": "members", "value": [{"value": bob}, {"value": boss}]}).status_code
        == 204
    )
    asked = client.found("Groups", f'id eq "{group}" and members eq "{bob}"')
    assert [each["id"] for each in asked] == [group]
    assert client.patch(f"/Groups/{group}", {"op": "Replace", "path": "displayName", "value": "Mates"}).status_code == 204
    assert world.principal("bob@example.com").groups == {"Mates"}
    legacy = {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": bob}]}
    assert client.patch(f"/Groups/{group}", legacy).status_code == 204
    assert client.members(group) == {boss}
    assert world.principal("bob@example.com").groups == set()
    assert client.send("DELETE", f"/Users/{bob}").status_code == 204
    assert not world.principal("bob@example.com").active


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "value": {"active": False}},
        {"op": "replace", "path": "active", "value": False},
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Replace", "path": "active", "value": "false"},
        {"op": "Replace", "value": {"active": "False"}},
        {"op": "add", "path": "active", "value": False},
        {"op": "Add", "value": {"Active": False}},
        {"op": "replace", "path": f"{USER}:active", "value": False},
        {"op": "replace", "value": {f"{USER}:active": False}},
    ],
)
def test_a_deactivation_holds_the_moment_it_is_answered(world: World, client: Client, operation: dict[str, Any]) -> None:
    alice = client.user("alice")
    assert world.principal("alice").active
    assert client.patch(f"/Users/{alice}", operation).status_code == 204
    assert not world.principal("alice").active
    assert world.audit()[-1] == ("access:identity-deactivated", CLIENT)


@pytest.mark.parametrize(
    ("removal", "left"),
    [
        ({"op": "remove", "path": "members", "value": [{"value": 0}]}, {1, 2}),
        ({"op": "Remove", "path": "members", "value": [{"value": 0}, {"value": 2}]}, {1}),
        ({"op": "Remove", "path": "Members", "value": [{"$ref": None, "value": 0}]}, {1, 2}),
        ({"op": "Remove", "path": f"{GROUP}:members", "value": [{"value": 0}]}, {1, 2}),
        ({"Op": "Remove", "Path": "members", "Value": [{"value": 0}]}, {1, 2}),
        ({"op": "Remove", "path": "members", "value": []}, {0, 1, 2}),
        ({"op": "Remove", "path": "members"}, set()),
    ],
)
def test_members_are_removed_in_every_form(client: Client, removal: dict[str, Any], left: set[int]) -> None:
    users = [client.user(f"user-{n}") for n in range(3)]
    group = client.group("g", *users)
    for name in {"value", "Value"} & set(removal):
        removal = removal | {name: [entry | {"value": users[entry["value"]]} for entry in removal[name]]}
    assert client.patch(f"/Groups/{group}", removal).status_code == 204
    assert client.members(group) == {users[n] for n in left}


def test_a_password_is_nowhere_in_the_database(world: World, client: Client, engine: Engine) -> None:
    secret = "correct-horse-battery"
    alice = client.user("alice", password=secret)
    assert client.patch(f"/Users/{alice}", {"op": "replace", "path": "password", "value": secret}).status_code == 204
    assert client.patch(f"/Users/{alice}", {"op": "replace", "value": {"password": secret, "title": "x"}}).status_code == 204
    assert client.patch(f"/Users/{alice}", {"op": "add", "path": f"{USER}:password", "value": secret}).status_code == 204
    replaced = {"schemas": [USER], "userName": "alice", "password": secret}
    assert client.send("PUT", f"/Users/{alice}", replaced).status_code == 200
    with engine.connect() as connection:
        tables = connection.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars().all()
        for table in tables:
            found = connection.execute(text(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE :it'), {"it": f"%{secret}%"})
            assert found.scalar_one() == 0, table
    assert client.send("GET", f'/Users?filter=password eq "{secret}"').status_code == 400


@pytest.mark.parametrize("member", ["nobody", "", "é"])
def test_a_member_must_be_a_user_of_this_source(world: World, client: Client, member: str) -> None:
    group = client.group("g")
    world.token("other", source="other")
    stranger = world.client("other").user("stranger")
    for value in (member, stranger, group):
        answer = client.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": value}]})
        assert answer.status_code == 400, answer.json
        assert answer.json["scimType"] == "invalidValue"
    document = {"schemas": [GROUP], "displayName": "h", "members": [{"value": member}]}
    assert client.send("POST", "/Groups", document).status_code == 400
    assert client.members(group) == set()


@pytest.mark.parametrize(("one", "other"), [("alice", "ALICE"), ("josé", "JOSÉ"), ("é", "e\u0301"), ("alice", " alice ")])
def test_a_second_user_of_one_name_is_refused_in_whatever_spelling(client: Client, one: str, other: str) -> None:
    client.user(one)
    answer = client.send("POST", "/Users", {"schemas": [USER], "userName": other})
    assert answer.status_code == 409
    assert answer.json["scimType"] == "uniqueness"
    bob = client.user("bob")
    assert client.patch(f"/Users/{bob}", {"op": "replace", "path": "userName", "value": other}).status_code == 409
    assert [each["userName"] for each in client.found("Users", 'userName eq "BOB"')] == ["bob"]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201, "\u200b\u202ealice"])
def test_a_user_who_can_be_no_principal_is_refused(world: World, client: Client, name: str) -> None:
    answer = client.send("POST", "/Users", {"schemas": [USER], "userName": name})
    assert answer.status_code == 400, answer.json
    assert answer.json["scimType"] == "invalidValue"
    alice = client.user("alice")
    assert client.patch(f"/Users/{alice}", {"op": "replace", "path": "userName", "value": name}).status_code == 400
    assert world.audit() == [("access:identity-added", CLIENT)]


@pytest.mark.parametrize(
    "name", ["Zoë Ångström", "日本語", "👩‍🚀".replace("\u200d", ""), "o'neil; DROP TABLE scim_resources --", '"%_\\']
)
def test_names_of_every_script_are_found_again(world: World, client: Client, name: str) -> None:
    made = client.user(name)
    client.user("somebody else")
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    assert [each["id"] for each in client.found("Users", f'userName eq "{quoted}"')] == [made]
    assert [each["id"] for each in client.found("Users", f'userName co "{quoted}"')] == [made]
    group = client.group(name, made)
    assert [each["id"] for each in client.found("Groups", f'displayName eq "{quoted}"')] == [group]
    assert world.principal(name.casefold()).groups == {name}


@pytest.mark.parametrize(
    "asked",
    [
        "userName eq \"x' OR '1'='1\"",
        'userName eq "%"',
        'externalId eq "\'; DELETE FROM scim_resources; --"',
        'id eq "\\" OR 1=1"',
    ],
)
def test_what_means_something_to_sql_is_text(client: Client, asked: str) -> None:
    client.user("alice", externalId="1")
    assert client.found("Users", asked) == []
    assert len(client.found("Users", 'externalId eq "1"')) == 1


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ('userName eq "user-01"', 1),
        ('userName eq "user-01" and active eq true', 1),
        ('userName eq "user-01" and active eq false', 0),
        ('userName eq "user-01" or userName eq "user-02"', 2),
        ('not (userName eq "user-01")', 11),
        ('emails[type eq "work"].value eq "user-03@example.com"', 1),
        ('emails[type eq "work" and value eq "USER-03@example.com"]', 1),
        ('externalId eq "X-04"', 0),
        ('externalId eq "x-04"', 1),
        ('externalId eq "x-04" and userName sw "user"', 1),
        ("userName pr", 12),
        ('meta.lastModified gt "2011-05-13T04:42:34Z"', 12),
    ],
)
def test_filters_find_what_they_say(client: Client, asked: str, count: int) -> None:
    for n in range(12):
        client.user(f"user-{n:02}", externalId=f"x-{n:02}", emails=[{"type": "work", "value": f"user-{n:02}@example.com"}])
    answer = client.send("GET", f"/Users?filter={asked}")
    assert answer.status_code == 200
    assert answer.json["totalResults"] == count


def test_a_thousand_users_are_paged_whole_and_in_order(world: World, client: Client) -> None:
    seed(world, 1000)
    seen: list[str] = []
    while True:
        answer = client.send("GET", f"/Users?startIndex={len(seen) + 1}&count=300").json
        assert answer["totalResults"] == 1000
        seen += [each["userName"] for each in answer.get("Resources", [])]
        if not answer.get("Resources"):
            break
    assert sorted(seen) == sorted(f"user-{n:05}" for n in range(1000))
    ordered = client.send("GET", "/Users?sortBy=userName&sortOrder=descending&startIndex=2&count=2").json
    assert [each["userName"] for each in ordered["Resources"]] == ["user-00998", "user-00997"]
    assert client.send("GET", "/Users?count=0").json["totalResults"] == 1000
    assert len(client.send("GET", "/Users?count=100000").json["Resources"]) == 1000


def test_an_outdated_version_is_refused(client: Client) -> None:
    alice = client.user("alice")
    first = client.send("GET", f"/Users/{alice}").headers["ETag"]
    rename = {"op": "replace", "path": "displayName", "value": "A"}
    assert client.patch(f"/Users/{alice}", rename, If_Match=first).status_code == 204
    assert client.patch(f"/Users/{alice}", rename | {"value": "B"}, If_Match=first).status_code == 412
    assert client.send("DELETE", f"/Users/{alice}", If_Match=first).status_code == 412
    current = client.send("GET", f"/Users/{alice}")
    assert current.json["displayName"] == "A"
    assert client.send("GET", f"/Users/{alice}", If_None_Match=current.headers["ETag"]).status_code == 304


def test_a_deleted_user_leaves_every_group(world: World, client: Client) -> None:
    alice, bob = client.user("alice"), client.user("bob")
    groups = [client.group(name, alice, bob) for name in ("g", "h")]
    etag = client.send("GET", f"/Groups/{groups[0]}").headers["ETag"]
    assert client.send("DELETE", f"/Users/{alice}").status_code == 204
    assert [client.members(group) for group in groups] == [{bob}, {bob}]
    assert client.send("GET", f"/Groups/{groups[0]}").headers["ETag"] != etag
    again = client.user("alice")
    assert world.principal("alice").active
    assert world.principal("alice").groups == set()
    assert again != alice


def test_sources_do_not_see_each_other(world: World, client: Client) -> None:
    alice = client.user("alice")
    client.group("g", alice)
    world.token("other", source="other", client="entra")
    other = world.client("other")
    assert other.send("GET", f"/Users/{alice}").status_code == 404
    assert other.patch(f"/Users/{alice}", {"op": "replace", "value": {"active": False}}).status_code == 404
    assert other.send("DELETE", f"/Users/{alice}").status_code == 404
    assert other.send("GET", "/").json["totalResults"] == 0
    mine = other.user("alice")
    other.group("g", mine)
    assert world.principal("alice").groups == {"g", "other/g"}
    assert other.patch(f"/Users/{mine}", {"op": "replace", "value": {"active": False}}).status_code == 204
    assert not world.principal("alice").active


def test_what_cannot_be_said_is_not_stored_either(world: World, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = client.user("alice")
    before = client.send("GET", f"/Users/{alice}").json

    def crash(*_: object) -> None:
        raise RuntimeError("the machine stops here")

    with monkeypatch.context() as patched:
        patched.setattr(
            "app.pipeline.people.scribe.Scribe.note", crash
        )  # after the document and the statement, before the commit
        answer = client.patch(f"/Users/{alice}", {"op": "replace", "value": {"active": False}})
        assert answer.status_code == 500
        assert "machine" not in answer.get_data(as_text=True)
        assert client.send("POST", "/Users", {"schemas": [USER], "userName": "bob"}).status_code == 500
        assert client.send("DELETE", f"/Users/{alice}").status_code == 500
    assert client.send("GET", f"/Users/{alice}").json == before
    assert client.found("Users", 'userName eq "bob"') == []
    assert world.principal("alice").active
    assert world.principal("bob") is None


def together(*acts: Any) -> list[Any]:
    """Do all at once; return what each gave."""
    answers: list[Any] = [None] * len(acts)
    begin = threading.Barrier(len(acts))

    def run(index: int) -> None:
        begin.wait()
        answers[index] = acts[index]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_of_many_who_add_to_one_group_at_once_none_is_lost(world: World, client: Client) -> None:
    users = [client.user(f"user-{n}") for n in range(8)]
    group = client.group("g")

    def add(user: str) -> Any:
        return lambda: client.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": user}]}).status_code

    assert together(*map(add, users)) == [204] * 8
    assert client.members(group) == set(users)
    assert all(world.principal(f"user-{n}").groups == {"g"} for n in range(8))


def test_of_many_who_create_one_user_at_once_one_succeeds(client: Client) -> None:
    def create(name: str) -> Any:
        return lambda: client.send("POST", "/Users", {"schemas": [USER], "userName": name}).status_code

    assert sorted(together(*(create(name) for name in ("alice", "Alice", "ALICE", "aLICE")))) == [201, 409, 409, 409]


def test_a_user_who_is_deleted_while_it_joins_a_group_does_not_stay_in_it(client: Client) -> None:
    for n in range(5):
        user, group = client.user(f"user-{n}"), client.group(f"group-{n}")
        joining = {"op": "add", "path": "members", "value": [{"value": user}]}
        joined, deleted = together(
            lambda group=group, joining=joining: client.patch(f"/Groups/{group}", joining).status_code,
            lambda user=user: client.send("DELETE", f"/Users/{user}").status_code,
        )
        assert deleted == 204
        assert joined in (204, 400)
        assert client.members(group) == set()


@pytest.mark.parametrize(
    "silence",
    [
        ("PUT", {"schemas": [USER], "userName": "alice", "title": "x"}),
        ("PUT", {"schemas": [USER], "userName": "alice", "active": None}),
        ("PATCH", {"schemas": [PATCH], "Operations": [{"op": "remove", "path": "active"}]}),
        ("PATCH", {"schemas": [PATCH], "Operations": [{"op": "remove", "path": f"{USER}:active"}]}),
        ("PATCH", {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": None}]}),
        ("PATCH", {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"active": None, "title": "y"}}]}),
    ],
    ids=str,
)
def test_a_deactivation_is_not_undone_by_silence(world: World, client: Client, silence: tuple[str, Any]) -> None:
    alice = client.user("alice")
    assert client.patch(f"/Users/{alice}", {"op": "replace", "path": "active", "value": False}).status_code == 204
    method, document = silence
    for _ in range(2):
        assert client.send(method, f"/Users/{alice}", document).status_code in (200, 204)
        assert not world.principal("alice").active
    assert client.patch(f"/Users/{alice}", {"op": "replace", "path": "userName", "value": "bob"}).status_code == 204
    assert not world.principal("bob").active
    assert client.patch(f"/Users/{alice}", {"op": "replace", "value": {"active": True, "userName": "alice"}}).status_code == 204
    assert world.principal("alice").active


def seed(world: World, count: int) -> None:
    """Put many users in place, faster than one request each."""
    with world.engine.begin() as connection:
        connection.execute(
            text("""
            INSERT INTO scim_resources (source, type, id, unique_name, external_id, document, created_at, modified_at)
            SELECT 'directory', 'User', 'id-' || lpad(n::text, 5, '0'), 'user-' || lpad(n::text, 5, '0'), 'x-' || n,
                jsonb_build_object('schemas', jsonb_build_array(CAST(:schema AS text)), 'active', true, 'externalId', 'x-' || n,
                    'userName', 'user-' || lpad(n::text, 5, '0'), 'displayName', 'User ' || n,
                    'emails', jsonb_build_array(jsonb_build_object('value', 'user' || n || '@example.com', 'type', 'work'))),
                now(), now()
            FROM generate_series(0, :last) n
            """),
            {"schema": USER, "last": count - 1},
        )


def test_a_page_of_very_large_groups_is_shorter_than_what_was_asked_for(world: World, client: Client) -> None:
    """What is read at once is bounded by members, not by groups: a page of a thousand such groups would be gigabytes."""
    members = "(SELECT jsonb_agg(jsonb_build_object('value', 'u-' || m)) FROM generate_series(1, 9000) m)"
    document = f"jsonb_build_object('schemas', jsonb_build_array('{GROUP}'), 'displayName', 'g-' || n, 'members', {members})"
    with world.engine.begin() as connection:
        connection.execute(
            text(f"""
            INSERT INTO scim_resources (source, type, id, unique_name, document, created_at, modified_at)
            SELECT 'directory', 'Group', 'g-' || n, 'g-' || n, {document}, now(), now() FROM generate_series(1, 3) n
            """)
        )
    first = client.send("GET", "/Groups?count=100").json
    assert (first["totalResults"], first["itemsPerPage"], len(first["Resources"])) == (3, 2, 2)
    rest = client.send("GET", f"/Groups?count=100&startIndex={1 + first['itemsPerPage']}").json
    assert [each["id"] for each in first["Resources"] + rest["Resources"]] == ["g-1", "g-2", "g-3"]
    assert client.send("GET", "/Groups?count=0").json["totalResults"] == 3
    assert len(client.found("Groups", 'displayName eq "g-2"')[0]["members"]) == 9000
    refused = client.send("GET", '/Groups?filter=displayName co "g"')
    assert (refused.status_code, refused.json["scimType"]) == (400, "tooMany")
