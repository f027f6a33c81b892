"""AWS IAM against a real moto server, and against servers that answer in parts, wrongly, or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest
from pydantic import ValidationError

from app.domain.access import Identity
from app.domain.errors import SecretUnavailable, SourceUnavailable
from app.domain.principal import PrincipalKind
from app.integrations.identity import aws_iam
from app.integrations.identity.aws_iam import PAGE_SIZE, AwsIam, Options
from app.integrations.identity.protocol import Hint, HintKind, IdentitySource
from app.integrations.secrets.protocol import Secret
from tests.contracts.aws_scenario import AwsScenario, as_tags, source_at
from tests.integrations.targets.cast import Answer, Request, Service, hangs_up, says, serving

READER = """{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iam:GetAccountAuthorizationDetails", "Resource": "*"}]}"""


@pytest.fixture
def account() -> Iterator[AwsScenario]:
    scenario = AwsScenario()
    yield scenario
    scenario.close()


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as made:
        yield made


def identities(source: IdentitySource) -> dict[str, Identity]:
    """Read who is there, by login."""
    return {identity.login: identity for page in source.read_all() for identity in page.identities}


def groups(source: IdentitySource) -> dict[str, tuple[str, set[str]]]:
    """Read who is in which group, by the group's external id: its name, and its members' logins."""
    pages = list(source.read_all())
    logins = {identity.external_id: identity.login for page in pages for identity in page.identities}
    return {g.external_id: (g.name, {logins[m] for m in g.members}) for page in pages for g in page.groups}


def fault_of(source: IdentitySource) -> str:
    """Say why the source cannot be read."""
    with pytest.raises(SourceUnavailable) as caught:
        list(source.read_all())
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("AWS IAM: ")


def test_a_tag_makes_a_user_a_person_and_a_role_a_machine(account: AwsScenario) -> None:
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
def test_who_has_no_usable_tag_is_no_principal(account: AwsScenario, tags: dict[str, str]) -> None:
    account.iam.create_user(UserName="eve", Tags=as_tags({**tags, "tidegate-groups": "ops"}))
    account.add_role("eve", **tags)
    account.add_to_group("eve", "deployers")
    assert not identities(account.source())
    assert [members for _, members in groups(account.source()).values()] == [set()]


@pytest.mark.parametrize(
    ("value", "is_active"),
    [("true", True), (" True ", True), ("false", False), ("", False), ("yes", False), ("1", False)],
)
def test_a_tag_other_than_true_takes_somebody_out(account: AwsScenario, value: str, is_active: bool) -> None:
    account.iam.create_user(UserName="alice", Tags=as_tags({"email": "alice", "Tidegate-Active": value}))
    assert identities(account.source())["alice"].is_active is is_active


def test_the_tags_may_have_other_names_in_any_case(account: AwsScenario) -> None:
    account.iam.create_user(UserName="alice", Tags=as_tags({"email": "wrong", "Principal": "alice", "TEAMS": "ops"}))
    source = account.source(subject_tag="principal", group_tag="Teams")
    assert identities(source)["alice"].subject == "alice"
    assert groups(source) == {"tag:ops": ("ops", {"alice"})}


def test_two_users_may_stand_for_one_principal(account: AwsScenario) -> None:
    account.add_person("alice", "alice@example.com")
    account.add_person("alice-admin", "ALICE@example.com")
    found = identities(account.source())
    assert {identity.subject for identity in found.values()} == {"alice@example.com"}
    assert len({identity.external_id for identity in found.values()}) == 2


def test_iams_groups_and_a_tags_groups_have_their_members(account: AwsScenario) -> None:
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
def test_a_tag_names_groups_with_the_characters_that_aws_allows(account: AwsScenario, value: str, names: set[str]) -> None:
    account.iam.create_user(UserName="alice", Tags=as_tags({"email": "alice", "tidegate-groups": value}))
    assert groups(account.source()) == {f"tag:{name}": (name, {"alice"}) for name in names}


def test_a_user_created_anew_under_the_same_name_is_another(account: AwsScenario) -> None:
    account.add_person("alice", "alice")
    before = identities(account.source())["alice"].external_id
    account.remove("alice")
    assert not identities(account.source())
    account.add_person("alice", "alice")
    assert identities(account.source())["alice"].external_id != before


def test_only_the_whole_can_be_read(account: AwsScenario) -> None:
    source = account.source()
    assert source.read_changes(datetime.now(UTC)) is None
    assert all(source.read_again(Hint(kind, "AIDA")) is None for kind in HintKind)


def test_iam_decides_who_may_read(account: AwsScenario) -> None:
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


def test_an_account_that_is_away_is_said_to_be_so(account: AwsScenario) -> None:
    source = account.source()
    account.go_away()
    assert fault_of(source) == "no connection (EndpointConnectionError)"


def test_a_source_may_be_read_by_many_at_once(account: AwsScenario) -> None:
    account.add_person("alice", "alice")
    source, gate = account.source(), threading.Barrier(8)

    def read(_: int) -> set[str]:
        gate.wait()
        return set(identities(source))

    with ThreadPoolExecutor(8) as pool:
        assert all(found == {"alice"} for found in pool.map(read, range(8)))


# moto gives everything at once, so what follows speaks IAM's XML itself
# (docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html, with its sample response).


def response(content: str) -> bytes:
    """Wrap the content of an answer as IAM does."""
    name = "GetAccountAuthorizationDetails"
    return (
        f'<{name}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><{name}Result>{content}</{name}Result>'
        f"<ResponseMetadata><RequestId>92e79ae7-7399-11e4-8c85-4b53eEXAMPLE</RequestId></ResponseMetadata></{name}Response>"
    ).encode()


def user(name: str, groups: Sequence[str] = (), **tags: str) -> str:
    """Spell a member of UserDetailList."""
    of = "".join(f"<member>{escape(group)}</member>" for group in groups)
    tagged = "".join(f"<member><Key>{key}</Key><Value>{escape(value)}</Value></member>" for key, value in tags.items())
    return (
        f"<UserDetailList><member><UserId>AIDA{name}</UserId><Path>/</Path><UserName>{name}</UserName>"
        f"<Arn>arn:aws:iam::123456789012:user/{name}</Arn><CreateDate>2026-10-14T17:43:12Z</CreateDate>"
        f"<GroupList>{of}</GroupList><AttachedManagedPolicies/><Tags>{tagged}</Tags></member></UserDetailList>"
    )


def group(name: str) -> str:
    """Spell a member of GroupDetailList."""
    return (
        f"<GroupDetailList><member><GroupId>AGPA{name}</GroupId><GroupName>{name}</GroupName><Path>/</Path>"
        "<GroupPolicyList/></member></GroupDetailList>"
    )


END = "<IsTruncated>false</IsTruncated>"


def pages(*contents: str) -> Answer:
    """Answer page after page; the marker of a page is its number."""

    def answer(handler: BaseHTTPRequestHandler, request: Request) -> None:
        at = int(parse_qs(request.body.decode()).get("Marker", ["0"])[0])
        more = f"<IsTruncated>true</IsTruncated><Marker>{at + 1}</Marker>" if at + 1 < len(contents) else END
        says(200, response(contents[at] + more), content_type="text/xml")(handler, request)

    return answer


def test_all_pages_are_read_and_people_come_before_groups(service: Service) -> None:
    service.answer = pages(
        group("ops"), user("alice", ["ops", "dev"], email="alice"), "", group("dev"), user("bob", ["ops"], email="bob")
    )
    read = list(source_at(service.url).read_all())
    assert [len(page.identities) for page in read] == [0, 1, 0, 0, 1, 0]
    assert not any(page.groups for page in read[:-1])
    assert {g.name: g.members for g in read[-1].groups} == {"ops": {"AIDAalice", "AIDAbob"}, "dev": {"AIDAalice"}}
    asked = [parse_qs(request.body.decode()) for request in service.requests]
    assert [each.get("Marker") for each in asked] == [None, ["1"], ["2"], ["3"], ["4"]]
    for each in asked:
        assert each["Action"] == ["GetAccountAuthorizationDetails"]
        assert each["MaxItems"] == [str(PAGE_SIZE)]
        assert [each[f"Filter.member.{n}"] for n in (1, 2, 3)] == [["User"], ["Group"], ["Role"]]


def test_an_account_that_changes_while_it_is_read_is_not_read_whole(service: Service) -> None:
    service.answer = pages(user("alice", ["ops"], email="alice"), user("eve", ["unlisted"]))
    assert fault_of(source_at(service.url)) == "the account changed while it was read"


def test_an_account_without_end_is_not_read_for_ever(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_iam, "MOST_PAGES", 5)
    service.answer = pages(*[""] * 100)
    assert fault_of(source_at(service.url)) == "the answer is not whole"
    assert len(service.requests) == 5


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (says(200, response("<IsTruncated>true</IsTruncated>")), "the answer is not whole"),
        (says(200, response("<IsTruncated>true</IsTruncated><Marker>x</Marker>")), "cannot be asked (PaginationError)"),
        (says(200, response("")), "the answer cannot be understood (ValidationError)"),
        (says(200, response(user("alice").replace("UserId>", "Id>") + END)), "the answer cannot be understood (ValidationError)"),
        (says(200, response(user("") + END)), "the answer cannot be understood (ValidationError)"),
        (says(200, response(user("a").replace("2026-", "never ") + END)), "the answer cannot be understood (ValueError)"),
        (says(200, response(user("alice") + END)[:-9]), "the answer cannot be understood (ResponseParserError)"),
        (says(200, b"<html><body>sign in here</body></html>"), "the answer cannot be understood (KeyError)"),
        (says(200, b'{"UserDetailList": []}'), "the answer cannot be understood (ResponseParserError)"),
        (says(200, b"\0" * 1_000), "the answer cannot be understood (ResponseParserError)"),
        (says(200), "the answer cannot be understood (ResponseParserError)"),
        (says(302, location="http://127.0.0.1:1/"), "the answer cannot be understood (ResponseParserError)"),
        (says(403, b"<html>eve&amp;\n</html>"), "AWS refuses (HTTP 403)"),
        (
            says(403, b"<ErrorResponse><Error><Code>ExpiredToken</Code><Message>x</Message></Error></ErrorResponse>"),
            "AWS refuses (ExpiredToken): the credentials have expired",
        ),
        (says(400, b"<ErrorResponse><Error><Code>a\nb</Code></Error></ErrorResponse>"), "AWS refuses (HTTP 400)"),
        (hangs_up, "no answer (ConnectionClosedError)"),
    ],
)
def test_an_answer_that_is_not_iams_is_no_account(service: Service, answer: Answer, fault: str) -> None:
    service.answer = answer
    assert fault_of(source_at(service.url)) == fault


def test_a_passing_fault_is_tried_again_a_denial_is_not(service: Service) -> None:
    denial = "<ErrorResponse><Error><Code>{}</Code></Error></ErrorResponse>"
    service.answer = says(503, denial.format("ServiceUnavailable").encode())
    assert fault_of(source_at(service.url)) == "AWS refuses (ServiceUnavailable)"
    assert len(service.requests) == 3
    service.answer = says(403, denial.format("AccessDenied").encode())
    fault_of(source_at(service.url))
    assert len(service.requests) == 4


def test_a_server_that_says_nothing_is_not_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_iam, "READ_SECONDS", 0.2)
    service.answer = service.is_silent
    assert fault_of(source_at(service.url)) == "no answer (ReadTimeoutError)"


def no_secret(reference: str) -> Secret:
    """Refuse as a secret store does."""
    raise SecretUnavailable(f"the environment variable {reference} is not set")


@pytest.mark.parametrize(
    ("secret", "fault"),
    [
        (no_secret, "the environment variable env:A is not set"),
        (lambda _: Secret(b"canary\nx-evil: 1"), "env:A holds nothing that could be an AWS key"),
        (lambda _: Secret(b"canary\xff"), "env:A holds nothing that could be an AWS key"),
    ],
)
def test_a_secret_that_is_none_is_not_sent(service: Service, secret: Callable[[str], Secret], fault: str) -> None:
    options = Options(endpoint=service.url, access_key_id="env:A", secret_access_key="env:B")
    assert fault_of(AwsIam(options, secret=secret)) == fault
    assert not service.requests


def test_keys_that_change_are_taken_at_the_next_read(service: Service) -> None:
    service.answer = pages("")
    keys = iter([b"first", b"canary-a", b"token", b"second", b"canary-b", b"token"])
    options = Options(endpoint=service.url, access_key_id="env:A", secret_access_key="env:B", session_token="file:/t")
    source = AwsIam(options, secret=lambda _: Secret(next(keys)))
    for _ in range(2):
        list(source.read_all())
    sent = [request.headers["authorization"] for request in service.requests]
    assert ["Credential=first/" in sent[0], "Credential=second/" in sent[1]] == [True, True]
    assert {request.headers["x-amz-security-token"] for request in service.requests} == {"token"}
    assert not any("canary" in str(request) for request in service.requests)


def test_without_keys_of_its_own_boto3_looks_for_them(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    source = AwsIam(Options(endpoint=service.url), secret=no_secret)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    assert fault_of(source) == "no credentials: none are configured and boto3 finds none"
    monkeypatch.setenv("AWS_PROFILE", "canary")
    assert fault_of(source) == "cannot be asked (ProfileNotFound)"
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-chain")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    service.answer = pages("")
    list(source.read_all())
    assert "Credential=from-the-chain/" in service.requests[-1].headers["authorization"]


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
