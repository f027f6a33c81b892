"""AWS IAM's answers in parts, wrong, or missing, from a server of our own: moto gives everything at once.

It speaks IAM's XML (docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountAuthorizationDetails.html and its sample).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import pytest

from app.domain.errors import SecretUnavailable, SourceUnavailable
from app.integrations.identity.aws import source as aws_iam
from app.integrations.identity.aws.source import PAGE_SIZE, AwsIam, Options
from app.integrations.identity.protocol import IdentitySource
from app.integrations.secrets.protocol import Secret
from tests.contracts.moto_account import source_at
from tests.integrations.targets.cast import Answer, Request, Service, hangs_up, says, serving
from tests.sources import tools


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as made:
        yield made


def fault_of(source: IdentitySource) -> str:
    """Say why the source cannot be read."""
    with pytest.raises(SourceUnavailable) as caught:
        list(source.read_all())
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("AWS IAM: ")


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
    assert fault_of(source_at(service.url)) == "the answer is not complete"
    assert len(service.requests) == 5


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (says(200, response("<IsTruncated>true</IsTruncated>")), "the answer is not complete"),
        (says(200, response("<IsTruncated>true</IsTruncated><Marker>x</Marker>")), "cannot be read (PaginationError)"),
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
        (lambda _: Secret(b"canary\nx-evil: 1"), "env:A does not hold an AWS key"),
        (lambda _: Secret(b"canary\xff"), "env:A does not hold an AWS key"),
    ],
)
def test_a_secret_that_is_none_is_not_sent(service: Service, secret: Callable[[str], Secret], fault: str) -> None:
    options = Options(endpoint=service.url, access_key_id="env:A", secret_access_key="env:B")
    assert fault_of(AwsIam(options, tools(secret))) == fault
    assert not service.requests


def test_keys_that_change_are_taken_at_the_next_read(service: Service) -> None:
    service.answer = pages("")
    keys = iter([b"first", b"canary-a", b"token", b"second", b"canary-b", b"token"])
    options = Options(endpoint=service.url, access_key_id="env:A", secret_access_key="env:B", session_token="file:/t")
    source = AwsIam(options, tools(lambda _: Secret(next(keys))))
    for _ in range(2):
        list(source.read_all())
    sent = [request.headers["authorization"] for request in service.requests]
    assert ["Credential=first/" in sent[0], "Credential=second/" in sent[1]] == [True, True]
    assert {request.headers["x-amz-security-token"] for request in service.requests} == {"token"}
    assert not any("canary" in str(request) for request in service.requests)


def test_without_keys_of_its_own_boto3_looks_for_them(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    source = AwsIam(Options(endpoint=service.url), tools(no_secret))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    assert fault_of(source) == "no credentials: none are configured, and boto3 finds none"
    monkeypatch.setenv("AWS_PROFILE", "canary")
    assert fault_of(source) == "cannot be read (ProfileNotFound)"
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "from-the-chain")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary")
    service.answer = pages("")
    list(source.read_all())
    assert "Credential=from-the-chain/" in service.requests[-1].headers["authorization"]
