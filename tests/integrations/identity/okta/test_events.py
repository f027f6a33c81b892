"""What Okta's event hooks send, and how they are told from what others send."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any
from uuid import UUID

import pytest

from app.domain.access import Hint, HintKind
from app.domain.errors import BadRequest
from app.integrations.identity.okta.events import challenge_answer, parse, parse_event
from app.integrations.identity.protocol import SourceEvent
from app.pipeline.people.hear_hint import is_authentic
from tests.integrations.targets.cast import Request, says, serving
from tests.okta_fake import StillClock, serving_okta

ID = "f790999f-fe87-467a-9880-6982a583986c"
USER, GROUP = "00u1qw6mqitPHM8AJ0g7", "00g1emaKYZTWRYYRRTSK"
# the delivery that developer.okta.com/docs/concepts/event-hooks shows, shortened
PUBLISHED = {
    "eventType": "com.okta.event_hook",
    "eventTypeVersion": "1.0",
    "cloudEventsVersion": "0.1",
    "contentType": "application/json",
    "eventId": "b5a188b9-5ece-4636-b041-482ffda96311",
    "eventTime": "2019-03-27T16:59:53.032Z",
    "source": "https://acme.okta.com/api/v1/eventHooks/whoql0HfiLGPWc8Jx0g3",
    "data": {
        "events": [
            {
                "version": "0",
                "severity": "INFO",
                "client": {"zone": "OFF_NETWORK", "device": "Unknown", "ipAddress": "12.97.85.90"},
                "actor": {"id": USER, "type": "User", "alternateId": "admin@example.com", "displayName": "Example Admin"},
                "outcome": {"result": "SUCCESS"},
                "uuid": ID,
                "published": "2018-03-28T22:23:07.777Z",
                "eventType": "user.session.start",
                "transaction": {"type": "WEB", "id": "V04Oy4ubUOc5UuG6s9DyNQAABtc"},
            }
        ]
    },
}


def delivery(*events: Any) -> bytes:
    return json.dumps({**PUBLISHED, "data": {"events": list(events)}}).encode()


def event(*targets: tuple[Any, Any], uuid: Any = ID) -> dict[str, Any]:
    named = [
        {"id": each, "type": kind, "alternateId": "unknown", "displayName": "x", "detailEntry": None} for kind, each in targets
    ]
    return {"uuid": uuid, "eventType": "group.user_membership.add", "target": named}


def test_the_published_delivery_is_understood() -> None:
    assert parse(json.dumps(PUBLISHED).encode()) == [SourceEvent(ID, ())]


@pytest.mark.parametrize(
    ("targets", "hints"),
    [
        ([], []),
        ([("User", USER)], [Hint(HintKind.IDENTITY, USER)]),
        ([("UserGroup", GROUP)], [Hint(HintKind.GROUP, GROUP)]),
        ([("User", USER), ("UserGroup", GROUP)], [Hint(HintKind.IDENTITY, USER), Hint(HintKind.GROUP, GROUP)]),
        ([("User", USER), ("User", USER)], [Hint(HintKind.IDENTITY, USER)]),
        ([("AppInstance", "0oa/odd id"), ("AppUser", None), (None, "x"), ("user", USER)], []),
    ],
)
def test_users_and_groups_are_to_be_read_again_and_nothing_else(targets: list[tuple[Any, Any]], hints: list[Hint]) -> None:
    assert parse(delivery(event(*targets))) == [SourceEvent(ID, tuple(hints))]
    assert parse_event(event(*targets)) == SourceEvent(ID, tuple(hints))


@pytest.mark.parametrize("target", [None, []])
def test_an_event_may_have_no_target(target: Any) -> None:
    assert parse(delivery({"uuid": ID, "target": target})) == [SourceEvent(ID, ())]


def test_several_events_keep_their_order() -> None:
    others = [str(UUID(int=n)) for n in range(5)]
    assert [str(each.id) for each in parse(delivery(*(event(uuid=each) for each in others)))] == others


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"data":' * 100_000,
        b"{}",
        b'{"data": null}',
        b'{"data": {"events": null}}',
        b'{"data": {"events": {}}}',
        b'{"data": {"events": [null]}}',
        b'{"data": {"events": ["x"]}}',
        delivery({"target": []}),
        delivery(event(uuid=None)),
        delivery(event(uuid=5)),
        delivery(event(uuid="")),
        delivery(event(uuid="d6f5-test")),
        delivery(event(uuid="-" * 36)),
        delivery(event(uuid=ID + "\n")),
        delivery({"uuid": ID, "target": "User"}),
        delivery({"uuid": ID, "target": [None]}),
        delivery(event((5, USER))),
        delivery(event(("User", None))),
        delivery(event(("User", 5))),
        delivery(event(("User", ""))),
        delivery(event(("User", "../me"))),
        delivery(event(("UserGroup", "x" * 65))),
        delivery(event(("UserGroup", GROUP + "\n"))),
        delivery(event(*[("User", f"00u{n}") for n in range(101)])),
        delivery(*[event()] * 1001),
        delivery() + b" " * 1024 * 1024,
    ],
    ids=lambda body: repr(body[:60]),
)
def test_what_cannot_be_understood_is_refused_on_one_line(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(body)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("raw", [None, 5, "x", [], {}, {"uuid": "x"}])
def test_what_is_no_event_of_the_log_is_refused(raw: Any) -> None:
    with pytest.raises(BadRequest):
        parse_event(raw)


def test_the_challenge_is_given_back() -> None:
    assert challenge_answer("8T3zabc-challenge_value=") == {"verification": "8T3zabc-challenge_value="}


@pytest.mark.parametrize("value", [None, "", "a b", "a\r\nb", "ü", "x" * 1001])
def test_what_is_no_challenge_is_not_given_back(value: str | None) -> None:
    with pytest.raises(BadRequest):
        challenge_answer(value)


def endpoint(secret: bytes, seen: list[SourceEvent]) -> Callable[[BaseHTTPRequestHandler, Request], None]:
    """Answer as the web's view does."""

    def answer(handler: BaseHTTPRequestHandler, request: Request) -> None:
        if request.method == "GET":
            body = json.dumps(challenge_answer(request.headers.get("x-okta-verification-challenge"))).encode()
            says(200, body, content_type="application/json")(handler, request)
        elif is_authentic(request.headers.get("authorization") or "", secret):
            seen.extend(parse(request.body))
            says(204)(handler, request)
        else:
            says(401)(handler, request)

    return answer


def test_an_event_hook_is_verified_and_delivers_what_happened() -> None:
    seen: list[SourceEvent] = []
    with serving_okta(StillClock()) as fake, serving() as service:
        service.answer = endpoint(b"the-secret", seen)
        assert fake.verify(service.url)
        user = fake.add_user("alice")
        group = fake.add_group("deployers")
        fake.add_member(group, user)
        fake.delete_group(group)
        assert fake.deliver(service.url, "the-secret") == 204
    about_user, about_group = Hint(HintKind.IDENTITY, user), Hint(HintKind.GROUP, group)
    assert [each.hints for each in seen] == [(about_user,), (about_group,), (about_user, about_group), (about_group,)]
    assert len({each.id for each in seen}) == 4
