"""A web service as target: a real server on 127.0.0.1, and the Standard Webhooks package as the judge of signatures."""

from __future__ import annotations

import base64
import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import standardwebhooks
from pydantic import ValidationError

from app.domain.deployment import Progress
from app.domain.errors import SecretUnavailable, TargetFailed, TargetUnavailable
from app.integrations.secrets.protocol import Secret
from app.integrations.targets.webhook import LONGEST_DETAIL, Options, Webhook
from app.integrations.tokens.protocol import Token
from tests.fakes import FakeClock
from tests.integrations.targets.cast import (
    SIGNING_SECRET,
    Request,
    Service,
    dispatch,
    fresh_token,
    hangs_up,
    order,
    says,
    serving,
    the_secret,
)
from tests.ports import free_port

KEY = base64.b64decode(SIGNING_SECRET.removeprefix(b"whsec_"))


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as made:
        yield made


@pytest.fixture
def token() -> Token:
    return fresh_token()


def webhook(
    url: str, *, secret: Callable[[str], Secret] = the_secret, clock: FakeClock | None = None, **options: object
) -> Webhook:
    chosen = Options.model_validate({"url": url, "secret": "env:SHOP_SECRET", "timeout": 20.0, **options})
    return Webhook("shop", chosen, state_dir=Path("/nowhere"), clock=clock or FakeClock(), secret=secret)


def everything_said(fault: BaseException) -> str:
    """Spell an exception as a log or a person gets to see it, with what it was raised from."""
    return "".join(traceback.format_exception(fault)) + repr(fault) + repr(fault.args)


def assert_hides(said: str, token: Token) -> None:
    assert token.reveal() not in said
    assert SIGNING_SECRET.decode() not in said
    assert SIGNING_SECRET.decode().removeprefix("whsec_") not in said
    assert KEY.decode() not in said


def only(service: Service) -> Request:
    (request,) = service.requests
    return request


def test_the_signature_verifies_after_the_standard(service: Service, token: Token) -> None:
    webhook(service.url).start(order(), token)
    request = only(service)
    judge = standardwebhooks.Webhook(SIGNING_SECRET.decode())
    assert judge.verify(request.body, request.headers) == json.loads(request.body)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        judge.verify(request.body.replace(b"false", b"true"), request.headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        judge.verify(request.body, {**request.headers, "webhook-id": "another"})


def test_a_secret_that_is_plain_bytes_signs_too(service: Service, token: Token) -> None:
    plain = b"just some characters"
    webhook(service.url, secret=lambda _: Secret(plain)).start(order(), token)
    request = only(service)
    assert standardwebhooks.Webhook(plain).verify(request.body, request.headers)["type"] == "deployment.dispatched"


def test_the_timestamp_is_the_gates_clock(service: Service, token: Token) -> None:
    clock = FakeClock()
    clock.move(-86400)
    webhook(service.url, clock=clock).start(order(), token)
    request = only(service)
    assert abs(int(request.headers["webhook-timestamp"]) - clock.now().timestamp()) < 60
    assert json.loads(request.body)["timestamp"] == pytest.approx(clock.now().timestamp(), abs=60)
    with pytest.raises(standardwebhooks.WebhookVerificationError, match="too old"):
        standardwebhooks.Webhook(SIGNING_SECRET.decode()).verify(request.body, request.headers)


def test_the_dispatch_id_is_the_webhook_id_and_the_idempotency_key(service: Service, token: Token) -> None:
    target = webhook(service.url)
    target.start(order(dispatch("first")), token)
    target.start(order(dispatch("second")), token)
    target.start(order(dispatch("first", fence=2)), token)
    sent = [(r.headers["webhook-id"], r.headers["idempotency-key"]) for r in service.requests]
    assert sent == [("first", "first"), ("second", "second"), ("first", "first")]


def test_the_body_says_what_to_deploy(service: Service, token: Token) -> None:
    webhook(f"{service.url}/deploy?x=1").start(order(sha="b" * 40, ref="refs/tags/v1", is_rollback=True), token)
    request = only(service)
    assert (request.method, request.path) == ("POST", "/deploy?x=1")
    assert request.headers["content-type"] == "application/json"
    assert json.loads(request.body)["data"] == {
        "dispatch_id": "dispatch-1",
        "deployment_id": "deployment-of-dispatch-1",
        "environment": "production",
        "target": "shop",
        "repository": "gogs:acme/shop",
        "ref": "refs/tags/v1",
        "sha": "b" * 40,
        "is_rollback": True,
    }


def test_the_token_is_a_bearer_and_nowhere_else(service: Service, token: Token) -> None:
    webhook(service.url).start(order(), token)
    request = only(service)
    assert request.headers["authorization"] == f"Bearer {token.reveal()}"
    others = {name: value for name, value in request.headers.items() if name != "authorization"}
    assert token.reveal() not in f"{request.path} {others} {request.body!r}"


def test_the_signing_secret_is_not_sent(service: Service, token: Token) -> None:
    webhook(service.url).start(order(), token)
    request = only(service)
    sent = f"{request.path} {request.headers} {request.body!r}"
    assert SIGNING_SECRET.decode().removeprefix("whsec_") not in sent
    assert KEY.decode() not in sent


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(service: Service, token: Token, status: int) -> None:
    service.answer = says(status)
    report = webhook(service.url).start(order(), token)
    assert (report.progress, report.detail) == (Progress.SUCCEEDED, f"HTTP {status}")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_fails(service: Service, token: Token, status: int) -> None:
    service.answer = says(status, location=f"{service.url}/elsewhere")
    with pytest.raises(TargetFailed, match=f"HTTP {status}"):
        webhook(f"{service.url}/deploy").start(order(), token)
    assert only(service).path == "/deploy"


@pytest.mark.parametrize("is_idempotent", [False, True])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500, 502, 504])
def test_a_refusal_or_fault_of_the_service_is_final(service: Service, token: Token, status: int, is_idempotent: bool) -> None:
    service.answer = says(status, b"no such shop\nsecond line")
    with pytest.raises(TargetFailed) as caught:
        webhook(service.url, idempotent=is_idempotent).start(order(), token)
    assert str(caught.value) == f"HTTP {status} no such shop"
    assert len(service.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_service_that_says_it_did_not_take_it_is_worth_another_try(service: Service, token: Token, status: int) -> None:
    service.answer = says(status, b"later")
    with pytest.raises(TargetUnavailable) as caught:
        webhook(service.url).start(order(), token)
    assert str(caught.value) == f"HTTP {status} later"
    assert len(service.requests) == 1


@pytest.mark.parametrize("is_idempotent", [False, True])
def test_a_refused_connection_is_worth_another_try(token: Token, is_idempotent: bool) -> None:
    with pytest.raises(TargetUnavailable, match="no connection") as caught:
        webhook(f"http://127.0.0.1:{free_port()}/", idempotent=is_idempotent).start(order(), token)
    assert_hides(everything_said(caught.value), token)


def says_half(handler: BaseHTTPRequestHandler, request: Request) -> None:
    """Promise more than there is."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
    handler.close_connection = True


def says_nonsense(handler: BaseHTTPRequestHandler, request: Request) -> None:
    """Speak something else than HTTP, and repeat the token in it."""
    handler.wfile.write(f"{request.headers['authorization']}\r\n\r\n".encode())
    handler.close_connection = True


@pytest.mark.parametrize("answer", [hangs_up, says_half, says_nonsense])
def test_a_broken_answer_is_tried_again_only_where_the_service_does_one_id_once(
    service: Service, token: Token, answer: Callable[[BaseHTTPRequestHandler, Request], None]
) -> None:
    service.answer = answer
    with pytest.raises(TargetFailed, match="may or may not have started") as final:
        webhook(service.url).start(order(), token)
    with pytest.raises(TargetUnavailable, match="no answer") as passing:
        webhook(service.url, idempotent=True).start(order(), token)
    assert len(service.requests) == 2
    assert_hides(everything_said(final.value) + everything_said(passing.value), token)


def test_a_silent_service_hits_the_timeout(service: Service, token: Token) -> None:
    service.answer = service.is_silent
    begun = time.monotonic()
    with pytest.raises(TargetFailed, match=r"no answer within 0\.3 s .*may or may not have started") as final:
        webhook(service.url, timeout=0.3).start(order(), token)
    with pytest.raises(TargetUnavailable, match="no answer") as passing:
        webhook(service.url, timeout=0.3, idempotent=True).start(order(), token)
    assert 0.6 <= time.monotonic() - begun < 10
    assert_hides(everything_said(final.value) + everything_said(passing.value), token)


def test_a_service_that_drips_its_answer_hits_the_timeout(service: Service, token: Token) -> None:
    def drips(handler: BaseHTTPRequestHandler, request: Request) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(200):
            handler.wfile.write(b".")
            if service.closing.wait(0.1):
                break

    service.answer = drips
    begun = time.monotonic()
    with pytest.raises(TargetFailed, match="may or may not have started"):
        webhook(service.url, timeout=0.5).start(order(), token)
    assert time.monotonic() - begun < 10


def test_an_answer_without_end_is_read_to_its_bound(service: Service, token: Token) -> None:
    def never_ends(handler: BaseHTTPRequestHandler, request: Request) -> None:
        handler.wfile.write(b"HTTP/1.1 500 Oops\r\n\r\n")
        while not service.closing.is_set():
            handler.wfile.write(b"x" * 65536)

    service.answer = never_ends
    with pytest.raises(TargetFailed) as caught:
        webhook(service.url).start(order(), token)
    assert str(caught.value) == "HTTP 500 " + "x" * LONGEST_DETAIL


def test_a_service_that_repeats_the_token_does_not_get_it_into_the_detail(service: Service, token: Token) -> None:
    def repeats(status: int) -> Callable[[BaseHTTPRequestHandler, Request], None]:
        def answer(handler: BaseHTTPRequestHandler, request: Request) -> None:
            padding = "x" * (LONGEST_DETAIL - 10)
            says(status, f"{padding} {request.headers['authorization'].split()[1]}".encode())(handler, request)

        return answer

    said = ""
    for status, kind in ((400, TargetFailed), (503, TargetUnavailable)):
        service.answer = repeats(status)
        with pytest.raises(kind, match=r"x \*\*\*$") as caught:
            webhook(service.url).start(order(), token)
        said += everything_said(caught.value)
    service.answer = repeats(200)
    said += repr(webhook(service.url).start(order(), token))
    assert_hides(said, token)
    assert token.reveal()[:9] not in said


def test_neither_token_nor_secret_is_logged(service: Service, token: Token, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        webhook(service.url).start(order(), token)
    assert "HTTP" in caplog.text
    assert_hides(caplog.text, token)


def test_a_secret_that_is_away_fails_before_anything_is_sent(service: Service, token: Token) -> None:
    def away(reference: str) -> Secret:
        raise SecretUnavailable(f"{reference} is not set")

    with pytest.raises(TargetFailed, match="env:SHOP_SECRET is not set"):
        webhook(service.url, secret=away).start(order(), token)
    assert service.requests == []


def test_a_secret_that_is_not_base64_fails_without_showing_it(service: Service, token: Token) -> None:
    with pytest.raises(TargetFailed, match="not base64") as caught:
        webhook(service.url, secret=lambda _: Secret(b"whsec_!not-base64!")).start(order(), token)
    assert service.requests == []
    assert "!not-base64!" not in str(caught.value)


def test_a_proxy_of_the_environment_never_sees_the_token(service: Service, token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert webhook(service.url).start(order(), token).progress is Progress.SUCCEEDED
    assert len(service.requests) == 1


def test_a_poll_cannot_tell(service: Service, token: Token) -> None:
    target = webhook(service.url)
    target.start(order(), token)
    assert target.poll(dispatch()).progress is Progress.UNKNOWN
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"url": "ftp://shop.example/"},
        {"url": "http://user:password@shop.example/"},
        {"url": "http://shop.example/a b"},
        {"secret": "the secret itself"},
        {"timeout": 0},
        {"timeout": 61},
        {"redirects": True},
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"url": "http://shop.example/", "secret": "env:SHOP_SECRET", **options})
