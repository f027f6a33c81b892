"""The receiver as a hostile network sees it: the real server, raw sockets, exact status codes."""

from __future__ import annotations

import hmac
import json
import re
import socket
import time
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote_plus, urlsplit

import httpx
import pytest

from app.domain.delivery import Delivery, DeliveryState
from app.domain.event import Account, Event, EventKind, Repository
from app.stack.scene import SECRET, Scene
from app.store.inbox.spool import SUFFIX, Spool
from app.store.reads import Reads
from tests.e2e.scenes import SPOOL_BYTES
from tests.waiting import until

LIMIT = 25 * 1024 * 1024
ALICE = Account("gogs", "2", "alice")
PUSH = Event(EventKind.PUSH, Repository("gogs", 1, "acme/other", "acme", 7), "refs/heads/x", None, "a" * 40, ALICE)
LARGE_ID = "00000000-0000-7000-8000-000000000000"
LARGE = Delivery(LARGE_ID, "gogs", "large", "push", b"", PUSH, None, datetime.now(UTC), DeliveryState.PENDING)


def signed(body: bytes, *, event: str = "push", over: bytes | None = None) -> dict[str, str]:
    """Make the headers that Gogs sends; the signature is over `over`, or the body."""
    digest = hmac.digest(SECRET.encode(), body if over is None else over, "sha256").hex()
    delivery = str(uuid.uuid4())
    names = {"x-gogs-delivery": delivery, "x-gogs-event": event, "x-gogs-signature": digest}
    return {"content-type": "application/json", **names}


def event(**over: object) -> bytes:
    """Make a push that no environment deploys."""
    user = {"id": 2, "login": "alice", "username": "alice"}
    repository = {"id": 9, "full_name": "acme/other", "owner": {"id": 1, "username": "acme"}}
    push = {"ref": "refs/heads/x", "before": "1" * 40, "after": "2" * 40, "commits": [], "repository": repository, "sender": user}
    return json.dumps(push | over).encode()


def post(scene: Scene, body: bytes, headers: dict[str, str], path: str = "/hooks/gogs") -> httpx.Response:
    return httpx.post(scene.running.web_url + path, content=body, headers=headers, timeout=20)


def test_json_and_form_are_accepted_and_a_second_time_is_a_duplicate(scene: Scene, reads: Reads) -> None:
    body = event()
    headers = signed(body)
    first, second = post(scene, body, headers), post(scene, body, headers)
    assert (first.status_code, second.status_code) == (202, 200)
    assert "already received" in second.text
    form = b"payload=" + quote_plus(body).encode()
    headers = {**signed(form, over=body), "content-type": "application/x-www-form-urlencoded"}
    assert post(scene, form, headers).status_code == 202


def test_every_202_stands_for_a_committed_row(scene: Scene, reads: Reads) -> None:
    body = event()
    answer = post(scene, body, signed(body))
    assert answer.status_code == 202
    assert reads.delivery(answer.headers["x-request-id"]).body == body


def test_a_valid_event_with_nothing_to_do_says_why(scene: Scene) -> None:
    body = event(after="1" * 40)
    answer = post(scene, body, signed(body))
    assert answer.status_code == 200 and "test delivery" in answer.text and "alice" not in answer.text


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"x-gogs-signature": ""}, 401),
        ({"x-gogs-signature": "0" * 64}, 401),
        ({"x-hub-signature-256": "sha256=" + "0" * 64}, 401),
        ({"content-type": "text/xml"}, 415),
        ({"x-gogs-event": "create"}, 400),
        ({"x-gogs-delivery": ""}, 400),
    ],
)
def test_what_is_wrong_has_its_own_status_and_is_not_stored(
    scene: Scene, reads: Reads, change: dict[str, str], status: int
) -> None:
    body = event()
    headers = {**signed(body), **change}
    answer = post(scene, body, headers)
    assert answer.status_code == status, answer.text
    assert headers["x-gogs-delivery"] not in {d.forge_delivery_id for d in reads.deliveries(200)}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"ref": NaN}', b"[" * 50_000, b'{"a":' * 50_000])
def test_garbage_with_a_true_signature_is_a_clear_400(scene: Scene, body: bytes) -> None:
    assert post(scene, body, signed(body)).status_code == 400


def test_unknown_forges_and_methods_are_refused(scene: Scene) -> None:
    body = event()
    assert post(scene, body, signed(body), "/hooks/nowhere").status_code == 404
    answer = httpx.get(scene.running.web_url + "/hooks/gogs", timeout=20)
    assert answer.status_code == 405 and answer.headers["allow"]
    assert httpx.get(scene.running.web_url + "/nothing", timeout=20).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "path", "status", "told"),
    [
        ("POST", "/hooks/gogs/", 404, "without a slash at the end"),
        ("POST", "/hooks/", 404, "/hooks/NAME"),
        ("POST", "/hooks", 404, "/hooks/NAME"),
        ("GET", "/hooks/gogs", 405, "forges send POST"),
        ("GET", "/", 404, "people sign in at /login"),
        ("GET", "/nothing", 404, "nothing is at this address"),
    ],
)
def test_an_address_beside_the_hooks_says_in_a_sentence_where_they_are(
    scene: Scene, method: str, path: str, status: int, told: str
) -> None:
    answer = httpx.request(method, scene.running.web_url + path, timeout=20)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert told in answer.json()["detail"] and "manually" not in answer.text


def test_a_refused_delivery_is_answered_without_a_line_that_looks_like_a_command(scene: Scene) -> None:
    answer = post(scene, event(), {**signed(event()), "x-gogs-signature": "0" * 64})
    assert answer.status_code == 401 and "webhook_secrets of [forges.gogs]" in answer.text
    assert answer.text.splitlines()[-1] == f"not kept; in the gate's log: {answer.headers['x-request-id']}"


def test_a_body_over_the_limit_is_413_and_one_at_the_limit_is_read(scene: Scene) -> None:
    over = b" " * (LIMIT + 1)
    assert post(scene, over, signed(over)).status_code == 413
    at = event() + b" " * (LIMIT - len(event()))
    assert post(scene, at, signed(at)).status_code == 202


def test_chunked_bodies_are_read_and_limited_as_they_come(scene: Scene) -> None:
    body = event()

    def pieces(whole: bytes) -> Iterable[bytes]:
        for start in range(0, len(whole), 65536):
            yield whole[start : start + 65536]

    url = scene.running.web_url + "/hooks/gogs"
    assert httpx.post(url, content=pieces(body), headers=signed(body), timeout=20).status_code == 202
    over = b" " * (LIMIT + 70_000)
    try:
        status = httpx.post(url, content=pieces(over), headers=signed(over), timeout=30).status_code
    except httpx.WriteError:
        status = 413  # refused before all of it was sent
    assert status == 413


def test_a_truncated_delivery_is_not_accepted(scene: Scene, reads: Reads) -> None:
    body = event()
    headers = signed(body)
    address = urlsplit(scene.running.web_url)
    lines = [f"{name}: {value}" for name, value in headers.items()]
    request = "\r\n".join(["POST /hooks/gogs HTTP/1.1", "host: x", f"content-length: {len(body)}", *lines, "", ""]).encode()
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as connection:
        connection.sendall(request + body[: len(body) // 2])
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(4096)
    assert b" 202 " not in answer
    assert headers["x-gogs-delivery"] not in {d.forge_delivery_id for d in reads.deliveries(200)}


def test_without_postgres_it_is_kept_on_disk_and_ready_says_so(scene: Scene, reads: Reads) -> None:
    assert scene.stack.postgres is not None and scene.stack.supervisor is not None
    scene.stack.postgres.stop()
    try:
        body = event()
        answer = post(scene, body, signed(body))
        assert answer.status_code == 202
        scene.stack.supervisor.kill("web")  # what it kept is its successor's
        until(lambda: httpx.get(scene.running.web_url + "/healthz", timeout=20).status_code == 200, "the receiver is back")
        kept = [answer, post(scene, body := event(), signed(body))]
        waiting = float(re.search(r"^tidegate_spool_bytes (\S+)", metrics(scene), re.M)[1])
        assert waiting > 2 * len(body)
        ready = httpx.get(scene.running.web_url + "/readyz", timeout=20)
        assert ready.status_code == 503 and ready.json()["checks"]["database"] != "ok"
        assert httpx.get(scene.running.web_url + "/healthz", timeout=20).status_code == 200
        assert "tidegate_database_up 0.0" in metrics(scene)
    finally:
        scene.stack.postgres.start()
    scene.until_ready()
    ids = [a.text.split()[-1] for a in kept]
    until(lambda: {d.id for d in reads.deliveries(100)} >= set(ids), "both are in the database")
    until(lambda: "tidegate_spool_bytes 0.0" in metrics(scene), "the spool is empty")


def test_without_postgres_and_without_room_on_disk_it_is_503_with_retry_after(scene: Scene) -> None:
    assert scene.stack.postgres is not None
    scene.stack.postgres.stop()
    large = replace(LARGE, body=bytes(SPOOL_BYTES))  # a true delivery: another file would be set aside
    try:
        Spool(scene.running.state / "spool", 2 * SPOOL_BYTES).put(large)
        time.sleep(1.1)  # the spool is measured every second
        answer = post(scene, body := event(), signed(body))
        assert answer.status_code == 503 and int(answer.headers["retry-after"]) > 0
    finally:
        (scene.running.state / "spool" / f"{large.id}{SUFFIX}").unlink(missing_ok=True)
        scene.stack.postgres.start()
    scene.until_ready()
    until(lambda: "tidegate_spool_bytes 0.0" in metrics(scene), "the receiver has seen that there is room")


def metrics(scene: Scene) -> str:
    return httpx.get(scene.running.web_url + "/metrics", timeout=20).text


def test_metrics_count_deliveries_by_outcome(scene: Scene) -> None:
    post(scene, b"x", {"content-type": "application/json"})
    text = httpx.get(scene.running.web_url + "/metrics", timeout=20).text
    assert 'tidegate_deliveries_total{forge="gogs",outcome="bad-signature"}' in text
    for name in ("tidegate_stage_seconds", "tidegate_queue_age_seconds", "tidegate_deployments"):
        assert f"# TYPE {name} " in text


def test_flower_needs_its_password(scene: Scene) -> None:
    def status(auth: tuple[str, str] | None) -> int:
        return httpx.get(scene.running.flower_url + "/", auth=auth, timeout=20).status_code

    password = (scene.running.state / "secrets" / "flower").read_text().strip()
    assert status(None) == 401
    assert status(("ops", "wrong")) == 401
    assert status(("ops", password)) == 200


def test_the_issuer_describes_itself_and_publishes_no_private_key(scene: Scene) -> None:
    url = scene.running.web_url
    described = httpx.get(url + "/.well-known/openid-configuration", timeout=20).json()
    assert described["issuer"] == url
    keys = httpx.get(described["jwks_uri"], timeout=20).json()["keys"]
    assert keys and all(key["alg"] == "RS256" and not {"d", "p", "q"} & set(key) for key in keys)
