"""Word that something changed: proven by the secret, kept once, and never believed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.domain.access import Hint, HintKind
from app.domain.errors import BadRequest, BadSignature, NotFound, StoreUnavailable
from app.integrations.identity.aws import events as aws_events
from app.integrations.identity.okta import events as okta_events
from app.pipeline.people.hear_hint import hear_hint, is_authentic
from app.pipeline.people.sync import due_sources
from app.pipeline.ports.services import SourceBinding, SourceHooks
from tests.people import PULLED
from tests.pipeline.conftest import Line

SECRET = b"s3cret"
USER = "00u1abcdefghijklmnop"


def okta(*ids: str) -> bytes:
    events = [{"uuid": each, "target": [{"type": "User", "id": USER}]} for each in ids]
    return json.dumps({"data": {"events": events}}).encode()


FIRST, SECOND = "f790999f-fe87-467a-9880-6982a583986c", "f790999f-fe87-467a-9880-6982a583986d"


@pytest.fixture
def services(line: Line) -> Line:
    former = line.services.guard
    readers = {"okta": okta_events, "aws": aws_events}
    bindings = {
        name: SourceBinding(
            replace(PULLED, name=name), pytest.fail, SourceHooks(lambda: SECRET, module.parse, module.challenge_answer)
        )
        for name, module in readers.items()
    }
    bindings["silent"] = SourceBinding(PULLED, pytest.fail)
    line.services = replace(line.services, guard=lambda: replace(former(), sources=bindings))
    return line


def test_events_are_kept_once_and_have_the_source_read(services: Line) -> None:
    line = services
    assert hear_hint(line.services, "okta", "s3cret", okta(FIRST)) == 1
    assert hear_hint(line.services, "okta", "s3cret", okta(FIRST, SECOND)) == 1
    assert hear_hint(line.services, "okta", "s3cret", okta(FIRST)) == 0
    assert line.wakes.syncs == ["okta", "okta"]
    with line.services.store.reading() as unit:
        assert unit.hints.open("okta", 10) == {key: [Hint(HintKind.IDENTITY, USER)] for key in (FIRST, SECOND)}
    assert "okta" in due_sources(line.services)


def test_a_change_in_aws_has_the_whole_read(services: Line) -> None:
    call = {"eventSource": "iam.amazonaws.com", "eventName": "AddUserToGroup"}
    event = {"id": FIRST, "source": "aws.iam", "detail-type": "AWS API Call via CloudTrail", "detail": call}
    assert hear_hint(services.services, "aws", "s3cret", json.dumps(event).encode()) == 1
    with services.services.store.reading() as unit:
        assert unit.hints.open("aws", 10) == {FIRST: [Hint(HintKind.ALL)]}


def test_an_event_that_changes_nobody_is_not_kept(services: Line) -> None:
    body = json.dumps({"data": {"events": [{"uuid": FIRST, "target": [{"type": "AppInstance", "id": "x"}]}]}}).encode()
    assert hear_hint(services.services, "okta", "s3cret", body) == 0
    assert services.wakes.syncs == []


@pytest.mark.parametrize("header", ["", "S3cret", "s3cre", "Bearer s3cret", "\u4e00"])
def test_without_the_secret_nothing_is_read_and_nothing_kept(services: Line, header: str) -> None:
    with pytest.raises(BadSignature):
        hear_hint(services.services, "okta", header, b"not even JSON")
    assert services.wakes.syncs == []


def test_what_cannot_be_understood_and_who_gives_no_notice_is_told(services: Line) -> None:
    with pytest.raises(BadRequest):
        hear_hint(services.services, "okta", "s3cret", b"{")
    for name in ("silent", "nobody"):
        with pytest.raises(NotFound):
            hear_hint(services.services, name, "s3cret", okta(FIRST))


def test_a_notice_that_cannot_be_kept_is_refused_so_that_it_comes_again(services: Line) -> None:
    class Away:
        def unit(self) -> object:
            raise StoreUnavailable

    away = replace(services.services, store=Away())  # type: ignore[arg-type]
    with pytest.raises(StoreUnavailable):
        hear_hint(away, "okta", "s3cret", okta(FIRST))


@pytest.mark.parametrize(
    ("header", "secret", "fits"),
    [
        ("s3cret", b"s3cret", True),
        ("Bearer s3cret", b"Bearer s3cret", True),
        ("ü".encode().decode("latin-1"), "ü".encode(), True),
        ("s3cret ", b"s3cret", False),
        ("", b"", False),
        ("", b"s3cret", False),
        ("\udce9", b"\xe9", False),
    ],
)
def test_only_the_whole_secret_is_a_proof(header: str, secret: bytes, fits: bool) -> None:
    assert is_authentic(header, secret) is fits
