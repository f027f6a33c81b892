"""A receiver of its own beside the scene's, with its own limits and log, and the raw requests of broken and hostile clients."""

from __future__ import annotations

import hmac
import json
import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.stack.scene import SECRET, Scene
from app.stack.server import answers
from app.stack.supervisor import arguments, read_procfile
from app.stack.up import ROOT
from bench.load import Load, run
from tests.ports import free_port
from tests.programs import running

BODY_SECONDS = 6.0
FORGED = 64  # connections that forge


@dataclass(frozen=True)
class Receiver:
    """A running receiver: where it listens, its processes, what it has logged."""

    port: int
    group: int
    log: Path

    @property
    def megabytes(self) -> float:
        """Resident memory of all its processes."""
        total = 0
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has ended
            total += int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if int(fields[2]) == self.group else 0
        return total / 1e6


@contextmanager
def receiver(scene: Scene, log: Path, **settings: str) -> Iterator[Receiver]:
    """Run the Procfile's receiver against the scene's servers, on a port of its own."""
    port = free_port()
    env = {**scene.env, "TIDEGATE_WEB_PORT": str(port), "TIDEGATE_BODY_SECONDS": str(BODY_SECONDS), **settings}
    env["PATH"] = f"{ROOT / '.venv' / 'bin'}{os.pathsep}{env['PATH']}"
    command = arguments(read_procfile(ROOT / "Procfile")["web"], env)
    with running(command, log, lambda: answers(port), env=env, cwd=ROOT) as program:
        yield Receiver(port, program.process.pid, log)


def event(**over: object) -> bytes:
    """Make a push that no environment deploys."""
    user = {"id": 2, "login": "alice", "username": "alice"}
    repository = {"id": 9, "full_name": "acme/other", "owner": {"id": 1, "username": "acme"}}
    after = f"{uuid.uuid4().int:040x}"  # each its own: the same body again and again is limited
    push = {"ref": "refs/heads/x", "before": "1" * 40, "after": after, "commits": [], "repository": repository, "sender": user}
    return json.dumps(push | over).encode()


def head(length: object, *more: str, signature: str = "0" * 64, version: str = "1.1") -> bytes:
    """Make the head of a delivery; `length` None leaves its length out."""
    lines = [f"POST /hooks/gogs HTTP/{version}", "Host: gate", f"X-Gogs-Delivery: {uuid.uuid4()}", "X-Gogs-Event: push"]
    lines += [f"X-Gogs-Signature: {signature}"]
    lines += [] if any(line.startswith("Content-Type") for line in more) else ["Content-Type: application/json"]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([*lines, *more, "", ""]).encode()


def signature_of(body: bytes) -> str:
    return hmac.digest(SECRET.encode(), body, "sha256").hex()


def honest(body: bytes, *more: str, version: str = "1.1") -> bytes:
    """Make a signed delivery."""
    return head(len(body), *more, signature=signature_of(body), version=version) + body


def chunked(body: bytes) -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def exchange(port: int, request: bytes) -> bytes:
    """Send, and return all that comes back until the server hangs up (or 20 seconds of silence: then it fails)."""
    with connect(port) as connection:
        try:
            connection.sendall(request)
        except OSError:
            pass  # refused before all of it was sent
        came = b""
        try:
            while piece := connection.recv(65536):
                came += piece
        except ConnectionResetError:
            pass
        return came


def statuses(answer: bytes) -> list[int]:
    """List the statuses of all answers in what came back."""
    return [int(part[2:5]) for part in answer.split(b"HTTP/1.")[1:] if part[2:5].isdigit()]


def honest_seconds(port: int) -> float:
    """Deliver honestly, and return how long it took to be accepted."""
    began = time.monotonic()
    assert statuses(exchange(port, honest(event(), "Connection: close"))) == [202]
    return time.monotonic() - began


def forged(count: int) -> Iterator[bytes]:
    """Make deliveries that are all different and all falsely signed."""
    for n in range(count):
        body = event(after=f"{n:040x}")
        yield head(len(body), f"User-Agent: forger-{n}", signature=f"{n:064x}") + body


def flood(port: int, count: int, honest_every: int = 1000) -> tuple[Load, int]:
    """Send `count` forged deliveries with an honest one now and then; return the load and how many were honest."""
    sent = Counter[str]()

    def requests() -> Iterator[bytes]:
        for n, request in enumerate(forged(count)):
            yield request
            if n % honest_every == 0:
                sent["honest"] += 1
                yield honest(event(after=f"{n:039x}f"))

    return run(port, requests(), FORGED, 3600), sent["honest"]
