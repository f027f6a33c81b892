"""Signed pushes as Gogs sends them, each with a body and a delivery id of its own."""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from app.stack.scene import SECRET

LENGTH = 8  # digits before each request of a file


def signed(path: str, payload: dict[str, Any], secret: str = SECRET) -> bytes:
    """Make one whole HTTP request."""
    return _request(path, json.dumps(payload, indent=2).encode(), secret)


def pushes(path: str, template: dict[str, Any], count: int, first: int = 0) -> Iterator[bytes]:
    """Make `count` pushes of about 2 KB to branches that no environment deploys, numbered from `first` on.

    Bodies of other numbers are others: one that comes again and again is refused (`app/pipeline/ports/limit.py`).
    """
    commits = [{"id": f"{n:040x}", "message": "a line of a commit's message, as long as they are\n" * 4} for n in range(5)]
    body = json.dumps(template | {"ref": "refs/heads/load-@", "commits": commits}, indent=2).encode()
    start, _, end = body.partition(b"@")
    return (_request(path, b"%s%d%s" % (start, n, end), SECRET) for n in range(first, first + count))


def body_of(request: bytes) -> bytes:
    """Return what was signed."""
    return request.partition(b"\r\n\r\n")[2]


def write_requests(file: Path, requests: Iterable[bytes]) -> int:
    """Write requests one after the other, each after its length, for `wrk.lua`; return how many."""
    count = 0
    with file.open("wb") as out:
        for request in requests:
            out.write(b"%0*d" % (LENGTH, len(request)))
            out.write(request)
            count += 1
    return count


def read_requests(file: Path) -> Iterator[bytes]:
    """Read what `write_requests` wrote."""
    with file.open("rb") as source:
        while head := source.read(LENGTH):
            yield source.read(int(head))


def _request(path: str, body: bytes, secret: str) -> bytes:
    signature = hmac.digest(secret.encode(), body, "sha256").hex()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Gogs-Delivery: {uuid.uuid4()}\r\nX-Gogs-Event: push\r\nX-Gogs-Signature: {signature}\r\n\r\n"
    )
    return head.encode() + body
