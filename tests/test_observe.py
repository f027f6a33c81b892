"""Sentry: what arrives at a listener of our own, byte for byte, and what never does."""

from __future__ import annotations

import gzip
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import flask
import pytest
import sentry_sdk
from sqlalchemy import create_engine, text

from app.guard.secrets import secret
from app.observe import start_sentry
from app.settings import load_settings

JWT = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl-_x"
ROOT = Path(__file__).parents[1]
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
    sentry_sdk.get_isolation_scope().clear()  # what a task of another test tagged outside of Celery
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
    "hidden",
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "postgresql://app:s3cret@127.0.0.1/tidegate", "Bearer abcdef1234567890"],
)
def test_other_secrets_never_leave_either(started: Listener, hidden: str) -> None:
    with reported():
        raise RuntimeError(f"bad: {hidden}")
    assert "***" in started.event()["exception"]["values"][0]["value"]
    assert hidden not in started.text()


def test_a_signature_never_leaves(started: Listener) -> None:
    bare, prefixed = "ab" * 32, "sha1=" + "cd" * 20
    with reported():
        raise RuntimeError(f"{bare} is not sha256={bare}, nor {prefixed}")
    assert started.event()["exception"]["values"][0]["value"] == "*** is not sha256=***, nor ***"
    assert bare not in started.text() and prefixed not in started.text()


def test_a_commit_is_told(started: Listener) -> None:
    with reported():
        raise RuntimeError("no " + "ab" * 20)
    assert started.event()["exception"]["values"][0]["value"] == "no " + "ab" * 20


def test_a_configured_secret_never_leaves_though_it_looks_like_nothing(started: Listener, tmp_path: Path) -> None:
    file = tmp_path / "webhook.secret"
    words = os.urandom(9).hex()  # a literal would stand in the source lines that Sentry sends
    file.write_text(f"{words}\n")
    file.chmod(0o600)
    with reported():
        raise RuntimeError(f"cannot use {secret(f'file:{file}').reveal()!r}")
    assert started.event()["exception"]["values"][0]["value"] == "cannot use b'***'"
    assert words not in started.text()


def test_a_password_of_the_settings_never_leaves(listener: Listener) -> None:
    start(TIDEGATE_SENTRY_DSN=f"http://key@127.0.0.1:{listener.port}/1", TIDEGATE_REDIS_URL="redis://:tide-pool-9@h/0")
    with reported():
        raise RuntimeError("AUTH tide-pool-9 refused")
    assert listener.event()["exception"]["values"][0]["value"] == "AUTH *** refused"


TASK = """
import sentry_sdk
from app.observe import start_sentry
from workers.celery import settings
from workers import stages
def fail(services, deployment_id):
    raise RuntimeError("a fault of the stage")
stages.settle = fail
start_sentry(settings)
stages.confirm_deploy.apply(("d-9", "c-9"))
sentry_sdk.flush(timeout=10)
"""


def test_a_stage_that_fails_arrives_under_its_name_with_its_deployment(listener: Listener, tmp_path: Path) -> None:
    env = {
        "PATH": os.defpath,
        "TIDEGATE_DATABASE_URL": "postgresql://a:b@127.0.0.1:9/d",
        "TIDEGATE_REDIS_URL": "redis://127.0.0.1:9/0",
        "TIDEGATE_CONFIG": str(tmp_path / "missing.toml"),
        "TIDEGATE_SENTRY_DSN": f"http://key@127.0.0.1:{listener.port}/1",
    }
    subprocess.run([sys.executable, "-c", TASK], env=env, cwd=ROOT, check=True, capture_output=True, timeout=200)
    event = listener.event()
    assert event["transaction"] == "confirm_deploy"
    assert {name: event["tags"][name] for name in ("deployment", "correlation", "step")} == {
        "deployment": "d-9",
        "correlation": "c-9",
        "step": "confirm_deploy",
    }
    assert event["exception"]["values"][-1]["mechanism"]["type"] == "celery"


def test_statements_are_breadcrumbs_without_their_values(started: Listener) -> None:
    with create_engine("sqlite://").connect() as connection, sentry_sdk.isolation_scope(), reported():
        connection.execute(text("SELECT :secret"), {"secret": CANARY})
        raise RuntimeError("after a statement")
    crumbs = started.event()["breadcrumbs"]["values"]
    assert any(crumb["category"] == "query" and crumb["message"].startswith("SELECT ") for crumb in crumbs)
    assert CANARY not in started.text()


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


def failing_request(headers: dict[str, str], query: str = "") -> None:
    web = flask.Flask("gate")

    @web.post("/hooks/<forge>")
    def hook(forge: str) -> str:
        assert flask.request.get_data()
        assert flask.request.get_json() is not None
        raise RuntimeError(f"{forge} cannot be served")

    answer = web.test_client().post(f"/hooks/gogs{query}", json={"secret_plan": CANARY}, headers=headers)
    assert answer.status_code == 500


def test_a_failed_request_arrives_without_its_signed_body(started: Listener) -> None:
    failing_request({})
    event = started.event()
    assert event["request"]["url"].endswith("/hooks/gogs")
    assert event["request"]["method"] == "POST"
    assert not event["request"].get("data")
    assert CANARY not in started.text()


def test_a_failed_request_arrives_without_its_query(started: Listener) -> None:
    failing_request({"Cookie": "tidegate=0badc0de"}, "?code=0badc0de&state=0badc0de")
    request = started.event()["request"]
    assert request["url"].endswith("/hooks/gogs") and not request.keys() & {"query_string", "cookies"}
    assert "0badc0de" not in started.text()


PROOFS = [
    "Authorization",
    "Cookie",
    "Proxy-Authorization",
    "Cf-Access-Jwt-Assertion",
    "X-Csrf-Token",
    "X-Forwarded-For",
    "Referer",
]


@pytest.mark.parametrize("name", [*PROOFS, *SIGNATURE_HEADERS])
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
