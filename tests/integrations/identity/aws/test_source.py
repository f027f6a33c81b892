"""AWS IAM against a real moto server, and what its options allow. Other answers are in `test_answers.py`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from app.domain.access import Hint, HintKind, Identity
from app.domain.principal import PrincipalKind
from app.integrations.identity.aws.source import AwsIam, Options
from app.integrations.identity.protocol import IdentitySource
from tests.contracts.moto_account import MotoAccount, as_tags, moto_account, source_at
from tests.integrations.identity.aws.test_answers import fault_of

READER = """{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iam:GetAccountAuthorizationDetails", "Resource": "*"}]}"""


@pytest.fixture
def account() -> Iterator[MotoAccount]:
    with moto_account() as scenario:
        yield scenario


def identities(source: IdentitySource) -> dict[str, Identity]:
    """Read who is there, by login."""
    return {identity.login: identity for page in source.read_all() for identity in page.identities}


def groups(source: IdentitySource) -> dict[str, tuple[str, set[str]]]:
    """Read who is in which group, by the group's external id: its name, and its members' logins."""
    pages = list(source.read_all())
    logins = {identity.external_id: identity.login for page in pages for identity in page.identities}
    return {g.external_id: (g.name, {logins[m] for m in g.members}) for page in pages for g in page.groups}


def test_a_tag_makes_a_user_a_person_and_a_role_a_machine(account: MotoAccount) -> None:
    account.add_person("alice", " Alice@Example.com ")
    account.add_role("deployer", email="robot")
    found = identities(account.source())
    user, role = account.iam.get_user(UserName="alice")["User"], account.iam.get_role(RoleName="deployer")["Role"]
    emails = frozenset({"alice@example.com"})
    assert found == {
        "alice": Identity(user["UserId"], "alice@example.com", True, PrincipalKind.HUMAN, login="alice", emails=emails),
        "deployer": Identity(role["RoleId"], "robot", True, PrincipalKind.MACHINE, login="deployer"),
    }


@pytest.mark.parametrize("tags", [{}, {"mail": "eve"}, {"email": ""}, {"email": " "}, {"email": "e" * 201}])
def test_who_has_no_usable_tag_is_no_principal(account: MotoAccount, tags: dict[str, str]) -> None:
    account.iam.create_user(UserName="eve", Tags=as_tags({**tags, "tidegate-groups": "ops"}))
    account.add_role("eve", **tags)
    account.add_to_group("eve", "deployers")
    assert not identities(account.source())
    assert [members for _, members in groups(account.source()).values()] == [set()]


@pytest.mark.parametrize(
    ("value", "is_active"),
    [("true", True), (" True ", True), ("false", False), ("", False), ("yes", False), ("1", False)],
)
def test_a_tag_other_than_true_takes_somebody_out(account: MotoAccount, value: str, is_active: bool) -> None:
    account.iam.create_user(UserName="alice", Tags=as_tags({"email": "alice", "Tidegate-Active": value}))
    assert identities(account.source())["alice"].is_active is is_active


def test_the_tags_may_have_other_names_in_any_case(account: MotoAccount) -> None:
    account.iam.create_user(UserName="alice", Tags=as_tags({"email": "wrong", "Principal": "alice", "TEAMS": "ops"}))
    source = account.source(subject_tag="principal", group_tag="Teams")
    assert identities(source)["alice"].subject == "alice"
    assert groups(source) == {"tag:ops": ("ops", {"alice"})}


def test_two_users_may_stand_for_one_principal(account: MotoAccount) -> None:
    account.add_person("alice", "alice@example.com")
    account.add_person("alice-admin", "ALICE@example.com")
    found = identities(account.source())
    assert {identity.subject for identity in found.values()} == {"alice@example.com"}
    assert len({identity.external_id for identity in found.values()}) == 2


def test_iams_groups_and_a_tags_groups_have_their_members(account: MotoAccount) -> None:
    for login in ("alice", "bob"):
        account.add_person(login, login)
        account.add_to_group(login, "deployers")
    account.iam.create_group(GroupName="empty")
    account.add_role("robot", **{"email": "robot", "tidegate-groups": "deployers"})
    ids = {each["GroupName"]: each["GroupId"] for each in account.iam.list_groups()["Groups"]}
    assert groups(account.source(group_prefix="aws/")) == {
        ids["deployers"]: ("aws/deployers", {"alice", "bob"}),
        ids["empty"]: ("aws/empty", set()),
        "tag:deployers": ("aws/deployers", {"robot"}),
    }


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("ops", {"ops"}),
        ("ops dev", {"ops", "dev"}),
        ("ops:dev+qa dev", {"ops", "dev", "qa"}),
        (" : + ", set()),
        ("", set()),
        ("team/ops=eu.west_1@x-y", {"team/ops=eu.west_1@x-y"}),
        ("ops\u00a0\u2003équipe", {"ops", "équipe"}),
    ],
)
def test_a_tag_names_groups_with_the_characters_that_aws_allows(account: MotoAccount, value: str, names: set[str]) -> None:
    account.iam.create_user(UserName="alice", Tags=as_tags({"email": "alice", "tidegate-groups": value}))
    assert groups(account.source()) == {f"tag:{name}": (name, {"alice"}) for name in names}


def test_a_user_created_anew_under_the_same_name_is_another(account: MotoAccount) -> None:
    account.add_person("alice", "alice")
    before = identities(account.source())["alice"].external_id
    account.remove("alice")
    assert not identities(account.source())
    account.add_person("alice", "alice")
    assert identities(account.source())["alice"].external_id != before


def test_only_the_whole_can_be_read(account: MotoAccount) -> None:
    source = account.source()
    assert source.read_changes(datetime.now(UTC)) is None
    assert all(source.read_again(Hint(kind, "AIDA")) is None for kind in HintKind)


def test_iam_decides_who_may_read(account: MotoAccount) -> None:
    keys = {}
    for login in ("reader", "stranger"):
        account.add_person(login, login)
        keys[login] = account.iam.create_access_key(UserName=login)["AccessKey"]
    account.iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=READER)
    account.enforce()

    def as_(key: dict[str, Any], **over: str) -> AwsIam:
        return source_at(account.url, **{"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"], **over})

    assert set(identities(as_(keys["reader"]))) == {"reader", "stranger"}
    denied = "AWS refuses (AccessDenied): the credentials need iam:GetAccountAuthorizationDetails"
    assert fault_of(as_(keys["stranger"])) == denied
    unknown = "AWS refuses (InvalidClientTokenId): the access key is not known"
    assert fault_of(as_(keys["stranger"], access_key="AKIAIOSFODNN7EXAMPLE")) == unknown
    misfit = "AWS refuses (SignatureDoesNotMatch): the secret key does not fit the access key"
    assert fault_of(as_(keys["reader"], secret_key="another")) == misfit


def test_an_account_that_is_away_is_said_to_be_so(account: MotoAccount) -> None:
    source = account.source()
    account.go_away()
    assert fault_of(source) == "no connection (EndpointConnectionError)"


def test_a_source_may_be_read_by_many_at_once(account: MotoAccount) -> None:
    account.add_person("alice", "alice")
    source, gate = account.source(), threading.Barrier(8)

    def read(_: int) -> set[str]:
        gate.wait()
        return set(identities(source))

    with ThreadPoolExecutor(8) as pool:
        assert all(found == {"alice"} for found in pool.map(read, range(8)))


@pytest.mark.parametrize(
    "table",
    [
        {"access_key_id": "env:A"},
        {"secret_access_key": "env:A"},
        {"session_token": "env:A"},
        {"access_key_id": "AKIA", "secret_access_key": "env:A"},
        {"endpoint": "http://iam.example"},
        {"endpoint": "http://127.0.0.1.example"},
        {"endpoint": "http://localhost@evil.example"},
        {"endpoint": "https://user:password@iam.example"},
        {"endpoint": "https://iam.example/path?query"},
        {"endpoint": "ftp://127.0.0.1"},
        {"endpoint": ""},
        {"region": "us-east-1.evil.example"},
        {"region": ""},
        {"subject_tag": ""},
        {"group_tag": "k" * 129},
        {"events_secret": "plain"},
        {"unknown": 1},
    ],
)
def test_options_that_cannot_be_meant_are_refused(table: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate(table)


@pytest.mark.parametrize(
    "endpoint", ["https://iam.example", "https://iam.example:8443/", "http://localhost:5000", "http://[::1]:5000/"]
)
def test_an_endpoint_is_encrypted_or_on_this_machine(endpoint: str) -> None:
    assert Options(endpoint=endpoint, region="us-gov-west-1").endpoint == endpoint
