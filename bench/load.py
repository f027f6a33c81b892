"""A small closed-loop HTTP load generator: keep-alive connections, requests made and signed before the clock starts."""

from __future__ import annotations

import selectors
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.figures import percentile


@dataclass
class Load:
    """What came back: latencies in seconds, answers by status."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    ran_out: bool = False  # there were no more requests

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the latency below which `share` (0..1) of the answers came, in milliseconds."""
        return 1000 * percentile(self.latencies, share)


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at = 0.0
        self.buffer = b""

    def send(self, request: bytes) -> None:
        self.buffer = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def answer(self) -> int | None:
        """Read what there is; return the status once the answer is whole."""
        chunk = self.socket.recv(65536)
        if not chunk:
            raise ConnectionError("the server hung up")
        self.buffer += chunk
        head, separator, body = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return None
        length = next(int(v) for n, _, v in (h.partition(b":") for h in head.split(b"\r\n")) if n.lower() == b"content-length")
        return int(head.split(b" ", 2)[1]) if len(body) >= length else None


def run(port: int, requests: Iterator[bytes], connections: int, seconds: float, most: int | None = None) -> Load:
    """Keep `connections` busy for `seconds` or until `most` answers; every connection has one request in flight."""
    load, chosen = Load(), selectors.DefaultSelector()
    for _ in range(connections):
        connection = _Connection(port)
        chosen.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(next(requests))  # at least one each
    began, in_flight = time.perf_counter(), connections
    while in_flight:
        for key, _ in chosen.select(30):
            status = key.data.answer()
            if status is None:
                continue
            now = time.perf_counter()
            load.latencies.append(now - key.data.sent_at)
            load.statuses[status] += 1
            more = now - began < seconds and (most is None or len(load.latencies) + in_flight <= most)
            request = next(requests, None) if more else None
            load.ran_out |= more and request is None
            if request is not None:
                key.data.send(request)
            else:
                in_flight -= 1
                chosen.unregister(key.data.socket)
                key.data.socket.close()
    load.seconds = time.perf_counter() - began
    return load
