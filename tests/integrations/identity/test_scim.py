"""What SCIM documents say: read into identities and groups, or refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.domain.access import Group, Identity
from app.domain.errors import BadRequest, SourceUnavailable
from app.domain.principal import PrincipalKind
from app.integrations.http import HttpClient
from app.integrations.identity.protocol import Tools
from app.integrations.identity.scim import Options, Scim, group_from, identity_from
from app.integrations.registry import SOURCES
from tests.fakes import FakeClock

NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"userName": "Alice"}, Identity("1", "alice", True, login="Alice")),
        ({"userName": "a", "active": True}, Identity("1", "a", True, login="a")),
        ({"userName": "a", "active": False}, Identity("1", "a", False, login="a")),
        ({"userName": "a", "active": None}, Identity("1", "a", True, login="a")),
        ({"userName": "a", "displayName": "A. B."}, Identity("1", "a", True, login="a", name="A. B.")),
        ({"userName": "a", "userType": "Agent"}, Identity("1", "a", True, PrincipalKind.AGENT, login="a")),
        ({"userName": "a", "userType": "machine"}, Identity("1", "a", True, PrincipalKind.MACHINE, login="a")),
        ({"userName": "a", "userType": "Employee"}, Identity("1", "a", True, login="a")),
        (
            {"userName": "a", "emails": [{"value": "A@X.org"}, {"value": ""}, {}, {"value": "a"}, {"value": "a b@x"}]},
            Identity("1", "a", True, login="a", emails=frozenset({"a@x.org"})),
        ),
    ],
)
def test_a_user_is_read(document: dict[str, Any], expected: Identity) -> None:
    assert identity_from("1", document, Options()) == expected


@pytest.mark.parametrize("name", [None, "", " ", "\x00", "a\u2028b", "x" * 201])
@pytest.mark.parametrize("subject", ["userName", "externalId"])
def test_a_user_without_a_subject_is_refused(subject: str, name: str | None) -> None:
    document = {"userName": "a", "externalId": "b"} | {subject: name}
    with pytest.raises(BadRequest, match=subject):
        identity_from("1", document, Options(subject=subject))  # type: ignore[arg-type]


def test_the_subject_may_be_the_external_id() -> None:
    assert identity_from("1", {"userName": "a", "externalId": "00U1"}, Options(subject="externalId")).subject == "00u1"


def test_a_group_is_read_with_its_prefix() -> None:
    document = {"displayName": "Deployers", "members": [{"value": "1"}, {"value": "2", "display": "x"}]}
    assert group_from("g", document, Options(group_prefix="okta/")) == Group("g", "okta/Deployers", frozenset({"1", "2"}))
    assert group_from("g", {"displayName": "g"}, Options()) == Group("g", "g", NOTHING)
    for name in ("", " ", "a\nb", None):
        with pytest.raises(BadRequest):
            group_from("g", {"displayName": name}, Options())


@pytest.mark.parametrize("given", [{"subject": "emails"}, {"subject": ""}, {"token": "x"}, {"group_prefix": 1}])
def test_options_that_are_none_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SOURCES.options("scim").model_validate(given)


def test_such_a_source_is_not_read() -> None:
    found: object = SOURCES.load("scim")
    assert found is Scim
    client = HttpClient(connect_timeout=1.0, read_timeout=1.0)
    tools = Tools(lambda _: pytest.fail("no secret is needed"), FakeClock(), pause=lambda _: None, client=client)
    source = Scim(Options(), tools)
    with pytest.raises(SourceUnavailable):
        source.read_all()
