"""What the pipeline relies on from the access map, the real one (here under people.toml alone) and the fake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.domain.event import GATE_ACCOUNT, Account
from app.domain.principal import GATE_PRINCIPAL, PrincipalKind
from app.integrations.identity.protocol import AccessMap
from tests.fakes import FakeIdentity, person
from tests.people import access_map

PEOPLE = """
[[people]]
subject = "alice"
emails = ["Alice@example.com"]
accounts = ["gogs:1"]
groups = ["deployers"]

[[people]]
subject = "bob"
emails = ["bob@example.com"]
accounts = ["gogs:2"]
groups = ["deployers"]
active = false
"""


def _file(folder: Path, engine: Engine) -> AccessMap:
    return access_map(engine, folder, PEOPLE)


def _fake(_folder: Path, _engine: Engine) -> AccessMap:
    return FakeIdentity({"gogs:1": person("alice", "gogs:1"), "gogs:2": person("bob", "gogs:2", active=False)})


@pytest.fixture(params=[_file, _fake], ids=["stored", "fake"])
def people(request: pytest.FixtureRequest, tmp_path: Path, engine: Engine) -> AccessMap:
    make: Callable[[Path, Engine], AccessMap] = request.param
    return make(tmp_path, engine)


def test_an_account_leads_to_one_principal_whatever_its_login(people: AccessMap) -> None:
    for login in ("alice", "renamed", ""):
        assert people.principal_of(Account("gogs", "1", login)) == person("alice", "gogs:1")


@pytest.mark.parametrize(
    "account",
    [
        ("gogs", "3"),
        ("gitea", "1"),
        ("gogs", "alice"),
        ("os", "alice"),
        ("gogs", "11"),
        ("gogs", "01"),
        ("gogs", "1 "),
        ("Gogs", "1"),
        ("gogs", ""),
        ("gogs", "Alice@example.com"),
    ],
)
def test_an_unlinked_account_leads_to_nobody(people: AccessMap, account: tuple[str, str]) -> None:
    assert people.principal_of(Account(*account, "alice")) is None


def test_an_inactive_principal_is_returned_as_inactive(people: AccessMap) -> None:
    bob = people.principal_of(Account("gogs", "2", "bob"))
    assert bob is not None
    assert (bob.kind, bob.active) == (PrincipalKind.HUMAN, False)


def test_a_principal_is_found_by_its_subject(people: AccessMap) -> None:
    assert people.principal("alice") == person("alice", "gogs:1")
    for subject in ("carol", "", "gogs:1", "Alice"):
        assert people.principal(subject) is None


def test_only_active_peoples_emails_are_known_in_any_case(people: AccessMap) -> None:
    asked = ["aLICE@example.COM", "bob@example.com", "eve@example.com", "eve@example.com", "", "alice@example.com "]
    assert people.owners_of(asked) == {"alice@example.com": "alice"}
    assert people.owners_of([]) == {}


def test_the_gate_acts_as_itself(people: AccessMap) -> None:
    assert people.principal_of(GATE_ACCOUNT) == GATE_PRINCIPAL
