"""EventBridge's notices: which make the gate read again, and which are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.domain.access import Hint, HintKind
from app.domain.errors import BadRequest
from app.integrations.identity.aws.events import LARGEST, challenge_answer, parse
from app.integrations.identity.protocol import SourceEvent

AGAIN = (Hint(HintKind.ALL),)
ID = "0cdc5423-ed4e-71d8-c4f7-9c4ab361748c"


def notice(name: str = "AddUserToGroup", detail: dict[str, Any] | None = None, **over: Any) -> bytes:
    """Spell an event as EventBridge does (eventbridge/latest/ref, "Event structure"; CloudTrail record contents)."""
    call = {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "userName": "root-of-all", "accountId": "123456789012"},
        "eventTime": "2026-11-23T14:21:45Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "requestParameters": {"userName": "alice", "groupName": "deployers"},
        "responseElements": None,
        **(detail or {}),
    }
    event = {
        "version": "0",
        "id": ID,
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.iam",
        "account": "123456789012",
        "time": "2026-11-23T14:21:45Z",
        "region": "us-east-1",
        "resources": [],
        "detail": call,
        **over,
    }
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    ("name", "hints"),
    [
        *((f"{verb}{what}", AGAIN) for verb in ("Create", "Delete", "Tag", "Untag") for what in ("User", "Role")),
        *((f"{verb}Group", AGAIN) for verb in ("Create", "Update", "Delete")),
        ("UpdateUser", AGAIN),
        ("AddUserToGroup", AGAIN),
        ("RemoveUserFromGroup", AGAIN),
        ("PutUserPolicy", ()),
        ("CreateAccessKey", ()),
        ("addusertogroup", ()),
        ("", ()),
    ],
)
def test_a_call_that_changes_who_is_who_makes_the_gate_read_again(name: str, hints: tuple[Hint, ...]) -> None:
    assert parse(notice(name)) == [SourceEvent(ID, hints)]


def test_a_call_that_was_refused_changed_nothing() -> None:
    assert parse(notice(detail={"errorCode": "AccessDenied"}))[0].hints == ()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"null", "not JSON"),
        (b"[]", "not JSON"),
        (b"\xff", "not JSON"),
        (notice()[:-1], "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"id":' + b"9" * 5_000 + b"}", "not JSON"),
        (notice(id=7), "id"),
        (notice(id=""), "id"),
        (notice(id="a\nb"), "id"),
        (notice(id="a" * 65), "id"),
        (notice(source="aws.s3"), "source"),
        (notice("AddUserToGroup", None, **{"detail-type": "AWS Console Sign In via CloudTrail"}), "detail-type"),
        (notice(detail={"eventSource": "sts.amazonaws.com"}), "detail.eventSource"),
        (notice(detail={"eventName": None}), "detail.eventName"),
        (notice(detail={"errorCode": 5}), "detail.errorCode"),
        (notice().replace(b'"detail": {', b'"detail": [{').replace(b"}}", b"}]}"), "detail"),
    ],
)
def test_whatever_else_comes_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(body)
    assert str(caught.value) == f"not an event of AWS IAM: {reason}"


def test_a_large_event_is_refused_unread() -> None:
    assert parse(notice(padding="x" * (LARGEST - 2_000)))[0].hints == AGAIN
    with pytest.raises(BadRequest, match="larger than"):
        parse(notice(padding="x" * LARGEST))


def test_there_is_no_challenge_to_answer() -> None:
    with pytest.raises(BadRequest):
        challenge_answer("prove it")
