"""The outbound client and the health probe against a real server that misbehaves in every way it can."""

from __future__ import annotations

import contextlib
import gzip
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from app.integrations.http import READ_LIMIT, HealthProbe, HttpClient, NotSent, Unanswered
from tests.integrations.targets.cast import Request, Service, hangs_up, says, serving
from tests.ports import free_port
from tests.waiting import until

SHORT = 0.3


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as made:
        yield made


@pytest.fixture
def client() -> HttpClient:
    return HttpClient(connect_timeout=5.0, read_timeout=20.0)


@pytest.fixture
def hasty() -> HttpClient:
    return HttpClient(connect_timeout=SHORT, read_timeout=SHORT)


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """Give a port whose queue is full, so that a connection is neither made nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


def test_a_post_brings_body_and_headers_and_returns_the_answer(service: Service, client: HttpClient) -> None:
    service.answer = says(418, b"short and stout")
    answer = client.post(f"{service.url}/tea", content=b"leaves", headers={"X-Cup": "blue"})
    assert (answer.status, answer.body) == (418, b"short and stout")
    (request,) = service.requests
    assert (request.method, request.path, request.body, request.headers["x-cup"]) == ("POST", "/tea", b"leaves", "blue")


def test_a_get_has_no_body(service: Service, client: HttpClient) -> None:
    service.answer = says(200, b"well")
    answer = client.get(f"{service.url}/health")
    assert (answer.status, answer.body, answer.is_whole) == (200, b"well", True)
    (request,) = service.requests
    assert (request.method, request.path, request.body) == ("GET", "/health", b"")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_answers_and_are_not_followed(service: Service, client: HttpClient, status: int) -> None:
    service.answer = says(status, location=f"{service.url}/elsewhere")
    assert client.get(service.url).status == status
    assert client.post(service.url, content=b"", headers={}).status == status
    assert [request.path for request in service.requests] == ["/", "/"]


def test_a_cookie_is_not_sent_back(service: Service, client: HttpClient) -> None:
    service.answer = says(200, set_cookie="session=1")
    client.get(service.url)
    client.get(service.url)
    assert ["cookie" in request.headers for request in service.requests] == [False, False]


def test_proxies_of_the_environment_are_not_used(service: Service, client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert client.get(service.url).status == 200


def test_a_refused_connection_was_not_sent(client: HttpClient) -> None:
    with pytest.raises(NotSent, match="ConnectError"):
        client.get(f"http://127.0.0.1:{free_port()}/")


def test_a_connection_that_is_never_taken_was_not_sent_after_the_time_limit(hasty: HttpClient) -> None:
    begun = time.monotonic()
    with deaf_port() as port, pytest.raises(NotSent, match="ConnectTimeout"):
        hasty.get(f"http://127.0.0.1:{port}/")
    assert SHORT <= time.monotonic() - begun < 10


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "127.0.0.1/", "http://127.0.0.1:99999/", "http://[::1/", "http:///x"])
def test_what_is_no_address_of_a_web_service_was_not_sent(client: HttpClient, url: str) -> None:
    with pytest.raises(NotSent):
        client.get(url)


def test_a_service_that_hangs_up_leaves_it_unanswered(service: Service, client: HttpClient) -> None:
    service.answer = hangs_up
    with pytest.raises(Unanswered, match="RemoteProtocolError"):
        client.get(service.url)


def test_a_silent_service_leaves_it_unanswered_after_the_time_limit(service: Service, hasty: HttpClient) -> None:
    service.answer = service.is_silent
    begun = time.monotonic()
    with pytest.raises(Unanswered, match="Timeout"):
        hasty.get(service.url)
    assert SHORT <= time.monotonic() - begun < 10


def dripping(service: Service, start: bytes) -> Callable[[BaseHTTPRequestHandler, Request], None]:
    """Answer one byte at a time, each well within the time limit, for twenty seconds in all."""

    def answer(handler: BaseHTTPRequestHandler, request: Request) -> None:
        handler.wfile.write(start)
        for _ in range(200):
            handler.wfile.write(b".")
            if service.closing.wait(SHORT / 3):
                break
        handler.close_connection = True

    return answer


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nx-drip: ", b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"])
def test_a_dripping_answer_does_not_outlast_the_time_limit(service: Service, hasty: HttpClient, start: bytes) -> None:
    service.answer = dripping(service, start)
    begun = time.monotonic()
    with pytest.raises(Unanswered):
        hasty.get(service.url)
    assert time.monotonic() - begun < 10


def test_an_answer_without_end_is_read_to_its_bound_and_let_go(service: Service, client: HttpClient) -> None:
    ended: list[str] = []

    def never_ends(handler: BaseHTTPRequestHandler, request: Request) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while not service.closing.is_set():
                handler.wfile.write(b"x" * 65536)
        except OSError as fault:
            ended.append(type(fault).__name__)

    service.answer = never_ends
    answer = client.get(service.url)
    assert (answer.status, answer.body, answer.is_whole) == (200, b"x" * READ_LIMIT, False)
    until(lambda: ended)
    assert ended[0] in ("BrokenPipeError", "ConnectionResetError")


@pytest.mark.parametrize("size", [0, 1, READ_LIMIT - 1, READ_LIMIT, READ_LIMIT + 1, 3 * READ_LIMIT])
def test_a_body_is_kept_up_to_the_bound(service: Service, client: HttpClient, size: int) -> None:
    service.answer = says(200, b"x" * size)
    assert len(client.get(service.url).body) == min(size, READ_LIMIT)


def test_a_packed_answer_does_not_unpack_beyond_the_bound(service: Service, client: HttpClient) -> None:
    bomb = gzip.compress(b"x" * (64 * 1024 * 1024))
    service.answer = says(200, bomb, content_encoding="gzip")
    tracemalloc.start()
    try:
        answer = client.get(service.url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(answer.body) <= READ_LIMIT
    assert peak < 16 * 1024 * 1024


def test_error_texts_name_neither_address_nor_headers(service: Service, client: HttpClient) -> None:
    service.answer = hangs_up
    said = []
    for url in (service.url, f"http://127.0.0.1:{free_port()}/"):
        with pytest.raises((NotSent, Unanswered)) as caught:
            client.post(f"{url}/?key=s3cret", content=b"s3cret", headers={"authorization": "Bearer s3cret"})
        said.append(f"{caught.value!s} {caught.value!r}")
    assert "s3cret" not in " ".join(said)
    assert "127.0.0.1" not in " ".join(said)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_a_service_that_answers_2xx_is_healthy(service: Service, client: HttpClient, status: int) -> None:
    service.answer = says(status)
    assert HealthProbe(client).check(f"{service.url}/health") == (True, f"HTTP {status}")
    assert service.requests[0].path == "/health"


@pytest.mark.parametrize("status", [300, 301, 302, 304, 400, 401, 404, 429, 500, 502, 503])
def test_a_service_that_answers_anything_else_is_unhealthy(service: Service, client: HttpClient, status: int) -> None:
    service.answer = says(status, location=f"{service.url}/well")
    assert HealthProbe(client).check(service.url) == (False, f"HTTP {status}")
    assert len(service.requests) == 1


def test_a_service_that_refuses_the_connection_is_unhealthy_and_the_detail_says_why(client: HttpClient) -> None:
    assert HealthProbe(client).check(f"http://127.0.0.1:{free_port()}/") == (False, "no answer (ConnectError)")


def test_a_service_that_hangs_up_is_unhealthy_and_the_detail_says_why(service: Service, client: HttpClient) -> None:
    service.answer = hangs_up
    assert HealthProbe(client).check(service.url) == (False, "no answer (RemoteProtocolError)")


def test_a_silent_service_is_unhealthy_and_the_detail_says_why(service: Service, hasty: HttpClient) -> None:
    service.answer = service.is_silent
    healthy, said = HealthProbe(hasty).check(service.url)
    assert not healthy
    assert said.startswith("no answer (")
    assert "Timeout" in said


def test_a_service_that_becomes_well_is_seen_to_be_well(service: Service, client: HttpClient) -> None:
    probe = HealthProbe(client)
    service.answer = says(503)
    assert probe.check(service.url)[0] is False
    service.answer = says(200)
    assert probe.check(service.url)[0] is True
