"""The receiver under abuse: it stays quick for the honest, bounded in memory and log, and recovers by itself."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app.stack.scene import Scene
from app.store.reads import Reads
from tests.e2e import hostile
from tests.e2e.hostile import BODY_SECONDS, Receiver, chunked, connect, event, exchange, head, honest, honest_seconds, statuses
from tests.waiting import until

QUICKLY = 5.0  # seconds; far below the time that a slow client is given, far above what a busy machine needs
FORGED_DELIVERIES = int(os.environ.get("FORGED", "20000"))
LARGEST = 25 * 1024 * 1024
IN_FLIGHT = 64 * 1024 * 1024
BODY = event()
SIGNED = hostile.signature_of(BODY)


@pytest.fixture(scope="module")
def gate(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    log = tmp_path_factory.mktemp("abuse") / "web.log"
    with hostile.receiver(scene, log, TIDEGATE_MAX_BYTES_IN_FLIGHT=str(IN_FLIGHT)) as running:
        yield running
    assert "Traceback" not in log.read_text() and "protocol failure" not in log.read_text()


def signed_head(*more: str, length: object = len(BODY)) -> bytes:
    return head(length, *more, signature=SIGNED)


REFUSED = {
    "compressed": (signed_head("Content-Encoding: gzip"), BODY, 415),
    "in an unknown coding": (signed_head("Content-Encoding: identity, br"), BODY, 415),
    "in a charset that is not JSON's": (signed_head("Content-Type: application/json; charset=utf-16"), BODY, 415),
    "signed twice, the false one last": (signed_head("X-Gogs-Signature: " + "0" * 64), BODY, 400),
    "signed twice, the true one last": (head(len(BODY), f"X-Gogs-Signature: {SIGNED}"), BODY, 400),
    "signed twice alike": (signed_head(f"X-Gogs-Signature: {SIGNED}"), BODY, 400),
    "with two ids": (signed_head("X-Gogs-Delivery: another"), BODY, 400),
    "with two events": (signed_head("X-Gogs-Event: create"), BODY, 400),
    "with two content types": (signed_head("Content-Type: application/json", "Content-Type: text/xml"), BODY, 400),
    "for two hosts": (signed_head("Host: other"), BODY, 400),
    "of two lengths": (signed_head("Content-Length: 5"), BODY, 400),
    "of a negative length": (signed_head(length=-5), BODY, 400),
    "of a length that is not a number": (signed_head(length="+5"), BODY, 400),
    "of a length beyond all numbers": (signed_head(length=10**30), BODY, 400),
    "announced as too large": (signed_head(length=10**13), b"", 413),
    "in a coding under chunks": (signed_head("Transfer-Encoding: gzip, chunked", length=None), chunked(BODY), 400),
    "in a coding that is not chunks": (signed_head("Transfer-Encoding: xchunked", length=None), chunked(BODY), 400),
    "in broken chunks": (signed_head("Transfer-Encoding: chunked", length=None), b"zz\r\nabc", 401),
    "with too many headers": (signed_head(*[f"X-{n}: 1" for n in range(2000)]), BODY, 431),
    "with a header that is too long": (signed_head("X-Long: " + "a" * 300_000), BODY, 431),
    "with a NUL in a header": (signed_head("X-Nul: a\0b"), BODY, 400),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_request_that_says_two_things_or_nonsense_is_refused_and_not_stored(gate: Receiver, reads: Reads, what: str) -> None:
    begin, body, status = REFUSED[what]
    delivery = begin.split(b"X-Gogs-Delivery: ")[1].split(b"\r\n")[0].decode()
    assert statuses(exchange(gate.port, begin.replace(b"Host:", b"Connection: close\r\nHost:", 1) + body)) == [status]
    assert delivery not in {d.forge_delivery_id for d in reads.deliveries(200)}


@pytest.mark.parametrize(
    "garbage",
    [
        os.urandom(4096),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
    ],
    ids=["random bytes", "TLS", "HTTP/2 with prior knowledge", "HTTP/0.9"],
)
def test_what_is_not_http_1_is_cut_off_at_once(gate: Receiver, garbage: bytes) -> None:
    began = time.monotonic()
    assert statuses(exchange(gate.port, garbage)) in ([], [400])
    assert time.monotonic() - began < QUICKLY


def test_a_length_beside_chunks_does_not_count_and_ends_the_connection(gate: Receiver) -> None:
    """RFC 9112 §6.3: the server may go by the chunks, but must not read another request from that connection."""
    request = signed_head("Transfer-Encoding: chunked") + chunked(BODY)
    assert statuses(exchange(gate.port, request + honest(event(), "Connection: close"))) in ([202], [400])


def test_requests_in_a_row_and_http_1_0_are_answered_in_order(gate: Receiver) -> None:
    row = honest(event(ref="refs/heads/a")) * 2 + head(len(BODY)) + BODY + honest(event(ref="refs/heads/b"), "Connection: close")
    assert statuses(exchange(gate.port, row)) == [202, 200, 401, 202]
    assert statuses(exchange(gate.port, honest(event(), version="1.0"))) == [202]


def test_a_name_with_an_underscore_does_not_pass_for_one_with_a_hyphen(gate: Receiver) -> None:
    spoofed = head(len(BODY), f"X_Gogs_Signature: {SIGNED}", "Connection: close").replace(b"X-Gogs-Signature", b"X-Other")
    assert statuses(exchange(gate.port, spoofed + BODY)) == [401]
    assert statuses(exchange(gate.port, signed_head("X_Gogs_Signature: 0", "Connection: close") + BODY)) == [202]


@pytest.mark.parametrize("count", [64, 500])
def test_slow_bodies_hold_no_thread_and_end_by_themselves(gate: Receiver, count: int) -> None:
    stop = threading.Event()
    slow = [connect(gate.port) for _ in range(count)]
    for connection in slow:
        connection.sendall(head(1000) + b"{")
    trickle = threading.Thread(target=_trickle, args=(slow, stop))
    trickle.start()
    try:
        assert max(honest_seconds(gate.port) for _ in range(5)) < QUICKLY
        answered = [connection.recv(4096) for connection in slow]
        assert {status for answer in answered for status in statuses(answer)} <= {408}
    finally:
        stop.set()
        trickle.join()
        for connection in slow:
            connection.close()
    assert honest_seconds(gate.port) < QUICKLY


def _trickle(connections: list[socket.socket], stop: threading.Event) -> None:
    """Send a byte a second on each."""
    while not stop.wait(1):
        for connection in connections:
            try:
                connection.send(b" ")
            except OSError:
                pass  # cut off, as it should be


def test_an_announced_body_that_never_comes_is_a_408_in_time_and_the_end_of_its_connection(gate: Receiver) -> None:
    def take(number: int) -> float:
        time.sleep(number * 0.2)  # one after the other: what is only let go with the next garbage shows then
        began = time.monotonic()
        assert statuses(exchange(gate.port, head(1_000_000 if number % 2 else 10, "Connection: close"))) == [408]
        return time.monotonic() - began

    with ThreadPoolExecutor(30) as pool:
        assert max(pool.map(take, range(30))) < BODY_SECONDS + QUICKLY


def test_slow_headers_and_silent_connections_end_by_themselves(gate: Receiver) -> None:
    silent = [connect(gate.port) for _ in range(300)]
    for connection in silent[:200]:
        connection.sendall(b"POST /hooks/gogs HTTP/1.1\r\nX-Slow: ")
    assert max(honest_seconds(gate.port) for _ in range(3)) < QUICKLY
    for connection in silent:
        assert statuses(connection.recv(4096)) in ([], [408])
        connection.close()


def test_many_largest_bodies_at_once_take_turns_in_bounded_memory(gate: Receiver) -> None:
    honest_seconds(gate.port)
    before, seen, stop = gate.megabytes, [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            seen.append(gate.megabytes)

    watching = threading.Thread(target=watch)
    watching.start()
    whole = head(LARGEST, "Connection: close") + bytes(LARGEST)
    answers: list[int] = []
    senders = [threading.Thread(target=lambda: answers.extend(statuses(exchange(gate.port, whole)))) for _ in range(12)]
    try:
        for sender in senders:
            sender.start()
        assert honest_seconds(gate.port) < QUICKLY
    finally:
        for sender in senders:
            sender.join()
        stop.set()
        watching.join()
    assert set(answers) <= {401, 408, 503} and 401 in answers
    # read in pieces, joined, and handed on: each byte in flight is there twice for a moment
    assert max(seen) - before < 3 * IN_FLIGHT / 1e6 + 20
    assert honest_seconds(gate.port) < QUICKLY


def test_slow_large_bodies_make_room_for_an_honest_one(gate: Receiver) -> None:
    slow = [connect(gate.port) for _ in range(8)]
    for connection in slow:
        connection.sendall(head(LARGEST) + b"{")
    large = event() + b" " * 1_000_000
    assert statuses(exchange(gate.port, honest(large, "Connection: close"))) == [202]
    for connection in slow:
        connection.close()


def test_forged_deliveries_leave_nothing_behind_and_silence_nobody(gate: Receiver, reads: Reads) -> None:
    hostile.flood(gate.port, 1000)  # whatever grows once has grown
    metrics = httpx.get(f"http://127.0.0.1:{gate.port}/metrics", timeout=20).text
    memory, logged = gate.megabytes, gate.log.stat().st_size
    load, honest_ones = hostile.flood(gate.port, FORGED_DELIVERIES)
    assert load.statuses == {401: FORGED_DELIVERIES, 202: honest_ones}
    assert gate.megabytes - memory < 12
    assert gate.log.stat().st_size - logged < 1000 * (honest_ones + 40 * (load.seconds / 10 + 2))
    assert gate.log.read_text().count('"outcome":"accepted"') >= honest_ones
    stored = [d for d in reads.deliveries(2000) if d.body.startswith(b'{"ref": "refs/heads/x"')]
    assert not any(d.body in {event(after=f"{n:040x}") for n in (0, 1, FORGED_DELIVERIES - 1)} for d in stored)
    after = httpx.get(f"http://127.0.0.1:{gate.port}/metrics", timeout=20).text
    assert {line.split()[0] for line in after.splitlines()} == {line.split()[0] for line in metrics.splitlines()}


def test_strangers_make_no_labels(gate: Receiver) -> None:
    for path in (b"/hooks/stranger", b"/hooks/%22%0a", b"/hooks/gogs%00"):
        for length, body in ((len(BODY), BODY), (10**12, b"")):
            request = head(length, "Connection: close").replace(b"/hooks/gogs", path) + body
            assert statuses(exchange(gate.port, request)) in ([404], [413])
    text = httpx.get(f"http://127.0.0.1:{gate.port}/metrics", timeout=20).text
    forges = {line.split('forge="')[1].split('"')[0] for line in text.splitlines() if 'forge="' in line}
    assert forges <= {"gogs", "unknown"}


def test_what_was_left_out_of_the_log_is_told_as_a_number(gate: Receiver) -> None:
    path = Path(gate.log)
    hostile.flood(gate.port, 200)

    def is_told() -> bool:
        honest_seconds(gate.port)
        return "refusals left out of the log" in path.read_text()

    until(is_told, "the number is in the log")
