"""A web service as sink: the Standard Webhooks package as the judge of signatures, and what each status means."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import standardwebhooks
from pydantic import ValidationError

from app.domain.errors import SinkRefused, SinkUnavailable
from app.integrations.secrets.protocol import Secret
from app.integrations.sinks.webhook import LONGEST_DETAIL, Options, Webhook
from tests.fakes import FakeClock
from tests.integrations.sinks.cast import AT, ID, notice
from tests.integrations.targets.cast import SIGNING_SECRET, Service, hangs_up, says, serving, the_secret


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as made:
        yield made


def webhook(url: str, *, secret: bytes | None = None, clock: FakeClock | None = None, **over: object) -> Webhook:
    options = Options.model_validate({"url": url, "secret": "env:HOOK", "timeout": 5.0, **over})
    return Webhook(options, clock=clock or FakeClock(), secret=the_secret if secret is None else lambda _: Secret(secret))


def test_the_signature_verifies_after_the_standard_and_covers_all(service: Service) -> None:
    webhook(service.url).emit(notice())
    (request,) = service.requests
    judge = standardwebhooks.Webhook(SIGNING_SECRET.decode())
    assert judge.verify(request.body, request.headers) == json.loads(request.body)
    for body, headers in (
        (request.body.replace(b"held", b"sent"), request.headers),
        (request.body, {**request.headers, "webhook-id": "another"}),
    ):
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            judge.verify(body, headers)


def test_the_body_is_as_the_page_says(service: Service) -> None:
    webhook(service.url).emit(notice())
    (request,) = service.requests
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == ID
    assert json.loads(request.body) == {
        "type": "deployment.held",
        "timestamp": AT.isoformat(),
        "data": {
            "id": ID,
            "event": "deployment:held",
            "subject": notice().subject,
            "text": notice().text,
            "detail": notice().detail,
        },
    }


def test_a_repeat_is_signed_anew_and_otherwise_the_same(service: Service) -> None:
    clock = FakeClock()
    for _ in range(2):
        webhook(service.url, clock=clock).emit(notice())
        clock.move(60)
    first, second = service.requests
    assert first.body == second.body and first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) in (60, 61)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_taken(service: Service, status: int) -> None:
    service.answer = says(status)
    webhook(service.url).emit(notice())


@pytest.mark.parametrize("status", [400, 410, 413, 415, 422])
def test_what_is_said_of_the_notice_is_for_good(service: Service, status: int) -> None:
    service.answer = says(status, b"no\nsecond line")
    with pytest.raises(SinkRefused) as caught:
        webhook(service.url).emit(notice())
    assert str(caught.value) == f"HTTP {status} no"


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 404, 405, 407, 408, 409, 425, 429, 500, 501, 502, 503, 504])
def test_what_may_be_the_fault_of_an_address_or_a_secret_may_pass(service: Service, status: int) -> None:
    service.answer = says(status, b"no", location=f"{service.url}/elsewhere")
    with pytest.raises(SinkUnavailable, match=f"^HTTP {status} no$"):
        webhook(service.url).emit(notice())
    assert len(service.requests) == 1


def test_a_service_that_hangs_up_may_have_taken_it_and_gets_it_again(service: Service) -> None:
    service.answer = hangs_up
    with pytest.raises(SinkUnavailable, match="no answer"):
        webhook(service.url).emit(notice())


def test_an_answer_is_kept_as_one_bounded_printable_line(service: Service) -> None:
    service.answer = says(500, b"\x1b[2J\x00" + b"x" * 100_000)
    with pytest.raises(SinkUnavailable) as caught:
        webhook(service.url).emit(notice())
    assert str(caught.value).isprintable() and len(str(caught.value)) <= LONGEST_DETAIL + 10


@pytest.mark.parametrize("secret", [b"whsec_!not-base64!", b"whsec_"])
def test_a_secret_that_is_no_key_sends_nothing_and_is_not_shown(service: Service, secret: bytes) -> None:
    with pytest.raises(SinkUnavailable) as caught:
        webhook(service.url, secret=secret).emit(notice())
    assert service.requests == []
    assert "not-base64!" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://shop.example/"},
        {"url": "http://user:password@shop.example/"},
        {"secret": "the secret itself"},
        {"timeout": 0},
        {"timeout": 31},
        {"redirects": True},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"url": "http://shop.example/", "secret": "env:HOOK", **options})
