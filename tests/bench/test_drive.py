"""Loads: every request of a file is sent once, answers are counted by status, by wrk and by our own generator alike."""

from __future__ import annotations

import hmac
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.stack.scene import SECRET
from bench.drive import drive, parse
from bench.pushes import body_of, pushes, read_requests, signed, write_requests

REFUSED_EVERY = 10


class Seen:
    """What a server was asked, and how it answered."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.lock = threading.Lock()


@pytest.fixture
def server() -> Iterator[tuple[int, Seen]]:
    """Answer 202, and 429 to every tenth."""
    seen = Seen()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert hmac.digest(SECRET.encode(), body, "sha256").hex() == self.headers["X-Gogs-Signature"]
            with seen.lock:
                seen.ids.append(self.headers["X-Gogs-Delivery"])
                status = 429 if len(seen.ids) % REFUSED_EVERY == 0 else 202
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """Say nothing: wrk leaves when its time is up."""

    listening = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    yield listening.server_address[1], seen
    listening.shutdown()
    thread.join()
    listening.server_close()


def test_a_file_of_requests_reads_back(folder: Path) -> None:
    made = list(pushes("/hooks/gogs", {"before": "0" * 40}, 3))
    assert write_requests(folder / "requests", made) == 3
    assert list(read_requests(folder / "requests")) == made


def test_pushes_differ_and_are_signed() -> None:
    made = [body_of(r) for r in pushes("/hooks/gogs", {"before": "0" * 40}, 3)]
    assert [json.loads(body)["ref"] for body in made] == ["refs/heads/load-0", "refs/heads/load-1", "refs/heads/load-2"]
    request = signed("/hooks/gogs", {"a": 1})
    assert hmac.digest(SECRET.encode(), body_of(request), "sha256").hex().encode() in request


@pytest.mark.parametrize("connections", [1, 7])
@pytest.mark.parametrize("has_wrk", [True, False])
def test_each_request_is_sent_once(
    server: tuple[int, Seen], folder: Path, monkeypatch: pytest.MonkeyPatch, connections: int, has_wrk: bool
) -> None:
    if not has_wrk:
        monkeypatch.setattr("shutil.which", lambda _: None)
    port, seen = server
    write_requests(folder / "requests", pushes("/hooks/gogs", {}, 100))
    done = drive(port, folder / "requests", connections)
    assert len(seen.ids) == len(set(seen.ids)) == 100
    assert (done.accepted(202), done.accepted(429), done.answered) == (90, 10, 100)
    assert done.ran_out and done.unanswered == 0
    assert done.tool == ("wrk" if has_wrk and shutil.which("wrk") else "bench/load.py")
    assert 0 < done.p50_ms <= done.p99_ms
    assert done.seconds < 60


def test_what_is_open_when_the_time_is_up_is_told(server: tuple[int, Seen], folder: Path) -> None:
    port, seen = server
    write_requests(folder / "requests", pushes("/hooks/gogs", {}, 40_000))
    done = drive(port, folder / "requests", 4, 1)
    assert not done.ran_out
    assert done.answered <= len(seen.ids) <= done.answered + max(done.unanswered, 4)
    assert len(seen.ids) == len(set(seen.ids))


def test_broken_connections_are_no_result() -> None:
    figures = {"seconds": 1, "p50_ms": 1, "p99_ms": 1, "sent": 5, "answered": 3, "at_end": False, "statuses": {"202": 3}}
    line = f"BENCH {json.dumps(figures | {'broken': 2})}"
    with pytest.raises(RuntimeError, match="2 connections or answers broke"):
        parse(line)
    with pytest.raises(RuntimeError, match="did not come to its end: no such host"):
        parse("no such host")
