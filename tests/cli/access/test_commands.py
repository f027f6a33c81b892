"""`tidegate access …` as an administrator uses it, against a real database."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.config.example import write_example
from app.domain.access import Group, Page, SourceKind
from app.pipeline.people.access_map import StoredAccessMap
from app.stack.postgres import EmbeddedPostgres
from tests.cli.desk import Command, sit_down
from tests.people import PUSHED, access_map, say, somebody


class Desk(Command):
    """A folder with the example configuration, a directory beside people.toml, and the command."""

    def __init__(self, folder: Path) -> None:
        super().__init__("access")
        self.folder = folder
        write_example(folder)
        config = folder / "tidegate.toml"
        config.write_text(config.read_text() + '\n[identity.directory]\nkind = "scim"\n')


@pytest.fixture
def desk(folder: Path, postgres: EmbeddedPostgres, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(folder)
    sit_down(folder, postgres, monkeypatch)
    people: StoredAccessMap = access_map(engine, folder / ".tidegate", None, PUSHED)
    said = (somebody("bob@example.com"), somebody("eve@example.com", is_active=False))
    say(people, PUSHED, Page(said, (Group("g", "deployers", frozenset({"id-bob@example.com", "id-eve@example.com"})),)))
    access_map(engine, folder, (folder / "people.toml").read_text()).principal("alice")  # as a running gate has taken it over
    return made


def test_an_administrator_links_an_account_and_sees_who_can(desk: Desk) -> None:
    assert desk.run("link", "gogs:7", "bob@example.com") == (0, "gogs:7 is linked to bob@example.com\n", "")
    asked = desk.json("who-can", "production")
    assert [(a["subject"], a["accounts"]) for a in asked["answers"]] == [("alice", ["gogs:1"]), ("bob@example.com", ["gogs:7"])]
    code, out, _ = desk.run("who-can", "production", "--explain")
    assert code == 0
    assert "eve@example.com" in out and "not active: source directory says so" in out and "2 of 3. Assumed: now, from" in out
    assert desk.run("unlink", "gogs:7") == (0, "gogs:7 is no longer linked to bob@example.com\n", "")
    assert [a["subject"] for a in desk.json("who-can", "production")["answers"]] == ["alice"]


def test_show_and_list_tell_who_says_what(desk: Desk) -> None:
    shown = desk.json("show", "eve@example.com")
    assert shown["principal"]["why_inactive"] == "source directory says so"
    assert [s["source"] for s in shown["statements"]] == ["directory"]
    code, out, _ = desk.run("show", "alice")
    assert code == 0 and "account    gogs:1, by file (file)" in out and "e-mails    alice@example.com" in out
    assert [s["principal"]["subject"] for s in desk.json("list")] == ["alice", "bob@example.com", "eve@example.com"]
    assert [s["principal"]["subject"] for s in desk.json("list", "--inactive")] == ["eve@example.com"]
    code, out, _ = desk.run("list", "--limit", "1")
    assert code == 0 and "and 2 more (--limit)" in out


def test_sources_tells_when_each_was_heard(desk: Desk) -> None:
    found = desk.json("sources")
    assert {name: each["rule"]["kind"] for name, each in found.items()} == {"file": SourceKind.FILE, "directory": SourceKind.SCIM}
    assert found["directory"]["state"]["refreshed_at"]
    code, out, _ = desk.run("sources")
    assert code == 0 and "directory  scim" in out


def test_a_key_is_added_listed_and_revoked(desk: Desk) -> None:
    key = desk.folder / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    added = desk.json("key", "add", "bob@example.com", f"{key}.pub")
    shown = subprocess.run(["ssh-keygen", "-lf", str(key)], capture_output=True, text=True, check=True).stdout
    assert added["fingerprint"] == shown.split()[1]
    assert desk.json("key", "list")[0]["is_revoked"] is False
    assert desk.run("key", "revoke", added["fingerprint"])[0] == 0
    assert desk.json("key", "list", "--subject", "bob@example.com")[0]["is_revoked"] is True


def test_a_private_key_is_refused_and_not_shown(desk: Desk) -> None:
    key = desk.folder / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    code, out, err = desk.run("key", "add", "bob@example.com", str(key))
    assert (code, out) == (1, "") and "This is a private key" in err
    assert key.read_text().splitlines()[1] not in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "nobody"), 3, "no source of people knows nobody"),
        (("link", "gogs:7", "nobody"), 3, "no source of people knows nobody"),
        (("link", "gogs", "alice"), 1, "'gogs' is not an account: FORGE:ID"),
        (("link", "gitea:7", "alice"), 3, "there is no forge gitea"),
        (("link", "gogs:1", "bob@example.com"), 1, "gogs:1 is linked to alice (file); unlink it first"),
        (("unlink", "gogs:1"), 1, "gogs:1 is linked by people.toml; change it there"),
        (("unlink", "gogs:99"), 3, "gogs:99 is not linked to a person"),
        (("sync", "directory"), 3, "there is no identity source directory that is read"),
        (("who-can", "nowhere"), 3, "there is no environment nowhere"),
        (("who-can", "production", "--action", "eat"), 1, "'eat' is not an action"),
        (("key", "add", "alice", "nothing.pub"), 1, "nothing.pub: cannot be read: No such file or directory"),
        (("key", "revoke", "SHA256:x"), 3, "there is no valid key SHA256:x"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(desk: Desk, arguments: tuple[str, ...], code: int, says: str) -> None:
    ended, _, told = desk.run(*arguments)
    assert (ended, told.count("\n")) == (code, 1)
    assert says in told
