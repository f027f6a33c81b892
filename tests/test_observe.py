"""Sentry: what arrives at a listener of our own, byte for byte, and what never does."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import flask
import pytest
import sentry_sdk

from app.observe import start_sentry
from app.settings import load_settings

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl-_x"
CANARY = "canary-7d1e-body"
SIGNATURE_HEADERS = ["X-Gogs-Signature", "X-Hub-Signature-256", "X-Hub-Signature", "X-Gitea-Signature", "X-Forgejo-Signature"]


@dataclass
class Listener:
    """Keeps every envelope that is posted to it."""

    port: int = 0
    paths: list[str] = field(default_factory=list)
    envelopes: list[bytes] = field(default_factory=list)

    def events(self) -> list[dict[str, Any]]:
        """Send what is still queued, then return all events so far."""
        sentry_sdk.flush(timeout=10)
        return [event for envelope in self.envelopes for event in _events(envelope)]

    def event(self) -> dict[str, Any]:
        """Return the one event that there is."""
        (event,) = self.events()
        return event

    def text(self) -> str:
        """Return everything that was ever sent."""
        sentry_sdk.flush(timeout=10)
        return b"\n".join(self.envelopes).decode()


def _events(envelope: bytes) -> Iterator[dict[str, Any]]:
    lines = envelope.splitlines()[1:]
    for header, payload in zip(lines[::2], lines[1::2], strict=False):
        if json.loads(header)["type"] == "event":
            yield json.loads(payload)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """An HTTP server on 127.0.0.1; Sentry is off again afterwards."""
    kept = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.paths.append(self.path)
            kept.envelopes.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    with sentry_sdk.isolation_scope():
        yield kept
        sentry_sdk.get_client().close(timeout=2)
        sentry_sdk.init()
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def started(listener: Listener) -> Listener:
    """The listener, with Sentry started on it."""
    start(TIDEGATE_SENTRY_DSN=f"http://key@127.0.0.1:{listener.port}/1", TIDEGATE_SENTRY_ENVIRONMENT="harbour")
    return listener


def start(**env: str) -> None:
    required = {"TIDEGATE_DATABASE_URL": "postgresql://a:b@h/d", "TIDEGATE_REDIS_URL": "redis://h/0"}
    start_sentry(load_settings({**required, "TIDEGATE_RELEASE": "tidegate@7.7.7", **env}))


@contextmanager
def reported() -> Iterator[None]:
    """Report what is raised in the block."""
    try:
        yield
    except RuntimeError as fault:
        sentry_sdk.capture_exception(fault)


def test_an_exception_arrives_with_release_environment_and_the_ids_of_its_step(started: Listener) -> None:
    with sentry_sdk.isolation_scope() as scope, reported():
        scope.set_tag("deployment_id", "d-1")
        scope.set_tag("correlation_id", "c-1")
        raise RuntimeError("the target is on fire")
    event = started.event()
    assert (event["release"], event["environment"]) == ("tidegate@7.7.7", "harbour")
    assert event["tags"] == {"deployment_id": "d-1", "correlation_id": "c-1"}
    (exception,) = event["exception"]["values"]
    assert (exception["type"], exception["value"]) == ("RuntimeError", "the target is on fire")
    assert started.paths == ["/api/1/envelope/"]


def test_the_ids_of_one_step_are_not_those_of_the_next(started: Listener) -> None:
    for name in ("d-1", None):
        with sentry_sdk.isolation_scope() as scope, reported():
            if name:
                scope.set_tag("deployment_id", name)
            raise RuntimeError("again" if name is None else "once")
    first, second = started.events()
    assert first["tags"] == {"deployment_id": "d-1"}
    assert "deployment_id" not in second.get("tags", {})


def test_an_error_that_is_logged_arrives(started: Listener) -> None:
    logging.getLogger("app.pipeline").error("dispatch of %s failed", "d-1")
    event = started.event()
    assert (event["logger"], event["level"]) == ("app.pipeline", "error")
    assert event["logentry"]["params"] == ["d-1"]


@pytest.mark.parametrize("way", ["exception", "message", "log", "log argument", "tag", "extra", "nested extra", "breadcrumb"])
def test_a_token_never_leaves_in_any_text(started: Listener, way: str) -> None:
    with sentry_sdk.isolation_scope() as scope:
        _leak(scope, way, f"got {JWT} from them")
    assert started.event()["event_id"]
    assert "got *** from them" in started.text()
    assert JWT not in started.text()


def _leak(scope: sentry_sdk.Scope, way: str, text: str) -> None:
    logger = logging.getLogger("app.pipeline")
    if way == "exception":
        with reported():
            raise RuntimeError(text)
    elif way == "log":
        logger.error(text)
    elif way == "log argument":
        logger.error("said: %s", text)
    else:
        if way == "tag":
            scope.set_tag("said", text)
        elif way == "extra":
            scope.set_extra("said", text)
        elif way == "nested extra":
            scope.set_extra("said", [{"by": {"them": text}}])
        elif way == "breadcrumb":
            logger.warning(text)
        sentry_sdk.capture_message(text if way == "message" else "something happened")


@pytest.mark.parametrize(
    "secret",
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "postgresql://app:s3cret@127.0.0.1/tidegate", "Bearer abcdef1234567890"],
)
def test_other_secrets_never_leave_either(started: Listener, secret: str) -> None:
    with reported():
        raise RuntimeError(f"bad: {secret}")
    assert "***" in started.event()["exception"]["values"][0]["value"]
    assert secret not in started.text()


def test_no_local_variable_leaves(started: Listener) -> None:
    with reported():
        local = CANARY
        raise RuntimeError(f"{len(local)}")
    frames = started.event()["exception"]["values"][0]["stacktrace"]["frames"]
    assert frames
    assert all("vars" not in frame for frame in frames)


@pytest.mark.parametrize("name", ["payload", "body", "token", "signature", "Authorization", "password"])
def test_a_value_under_a_name_of_secrets_never_leaves(started: Listener, name: str) -> None:
    with sentry_sdk.isolation_scope() as scope:
        scope.set_extra("delivery", {"headers": [{name: CANARY}], "id": "delivery-1"})
        sentry_sdk.capture_message("something happened")
    assert started.event()["extra"]["delivery"]["id"] == "delivery-1"
    assert CANARY not in started.text()


def failing_request(headers: dict[str, str]) -> None:
    web = flask.Flask("gate")

    @web.post("/hooks/<forge>")
    def hook(forge: str) -> str:
        assert flask.request.get_data()
        assert flask.request.get_json() is not None
        raise RuntimeError(f"{forge} cannot be served")

    answer = web.test_client().post("/hooks/gogs", json={"secret_plan": CANARY}, headers=headers)
    assert answer.status_code == 500


def test_a_failed_request_arrives_without_its_signed_body(started: Listener) -> None:
    failing_request({})
    event = started.event()
    assert event["request"]["url"].endswith("/hooks/gogs")
    assert event["request"]["method"] == "POST"
    assert not event["request"].get("data")
    assert CANARY not in started.text()


@pytest.mark.parametrize("name", ["Authorization", "Cookie", "Proxy-Authorization", "X-Forwarded-For", *SIGNATURE_HEADERS])
def test_a_failed_request_arrives_without_what_proves_its_sender(started: Listener, name: str) -> None:
    failing_request({name: "sha256=0badc0de0badc0de"})
    assert started.event()["exception"]["values"][0]["value"] == "gogs cannot be served"
    assert "0badc0de" not in started.text()


def test_nothing_is_sent_where_no_dsn_is_set(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_DSN", f"http://key@127.0.0.1:{listener.port}/1")  # which the library would read by itself
    start()
    with reported():
        raise RuntimeError("unheard")
    logging.getLogger("app.pipeline").error("unheard")
    assert listener.events() == []
    assert listener.envelopes == []
