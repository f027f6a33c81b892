"""What the pipeline relies on from any source of people, the real one and the fake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.event import GATE_ACCOUNT, Account
from app.domain.principal import GATE_PRINCIPAL
from app.integrations.identity.file import load
from app.integrations.identity.protocol import IdentitySource
from tests.fakes import FakeIdentity, person

PEOPLE = """
[[people]]
subject = "alice"
emails = ["alice@example.com"]
accounts = ["gogs:1"]
groups = ["deployers"]

[[people]]
subject = "bob"
emails = ["bob@example.com"]
accounts = ["gogs:2"]
groups = ["deployers"]
active = false
"""


def _file(folder: Path) -> IdentitySource:
    (folder / "people.toml").write_text(PEOPLE)
    return load(folder / "people.toml")


def _fake(_folder: Path) -> IdentitySource:
    return FakeIdentity({"gogs:1": person("alice", "gogs:1"), "gogs:2": person("bob", "gogs:2", active=False)})


@pytest.fixture(params=[_file, _fake], ids=["file", "fake"])
def people(request: pytest.FixtureRequest, tmp_path: Path) -> IdentitySource:
    make: Callable[[Path], IdentitySource] = request.param
    return make(tmp_path)


def test_an_account_leads_to_one_principal_whatever_its_login(people: IdentitySource) -> None:
    for login in ("alice", "renamed", ""):
        assert people.principal_of(Account("gogs", "1", login)) == person("alice", "gogs:1")


@pytest.mark.parametrize("account", [("gogs", "3"), ("gitea", "1"), ("gogs", "alice"), ("os", "alice"), ("gogs", "11")])
def test_an_unlinked_account_leads_to_nobody(people: IdentitySource, account: tuple[str, str]) -> None:
    assert people.principal_of(Account(*account, "alice")) is None


def test_an_inactive_principal_is_returned_as_inactive(people: IdentitySource) -> None:
    bob = people.principal_of(Account("gogs", "2", "bob"))
    assert bob is not None
    assert not bob.active


def test_only_active_peoples_emails_are_known(people: IdentitySource) -> None:
    assert people.knows_email("alice@example.com")
    assert not people.knows_email("bob@example.com")
    assert not people.knows_email("eve@example.com")


def test_the_gate_acts_as_itself(people: IdentitySource) -> None:
    assert people.principal_of(GATE_ACCOUNT) == GATE_PRINCIPAL
