"""Signed pushes as Gogs sends them, each with a body and a delivery id of its own."""

from __future__ import annotations

import hmac
import json
import uuid
from collections.abc import Iterator
from typing import Any

from app.cli.demo_scene import SECRET


def signed(path: str, payload: dict[str, Any]) -> bytes:
    """Make one whole HTTP request."""
    body = json.dumps(payload, indent=2).encode()
    signature = hmac.digest(SECRET.encode(), body, "sha256").hex()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Gogs-Delivery: {uuid.uuid4()}\r\nX-Gogs-Event: push\r\nX-Gogs-Signature: {signature}\r\n\r\n"
    )
    return head.encode() + body


def pushes(path: str, template: dict[str, Any], count: int) -> Iterator[bytes]:
    """Make `count` pushes of about 2 KB to branches that no environment deploys, before the first is asked for."""
    commits = [{"id": f"{n:040x}", "message": "a line of a commit's message, as long as they are\n" * 4} for n in range(5)]
    made = [signed(path, template | {"ref": f"refs/heads/load-{n}", "commits": commits}) for n in range(count)]
    return iter(made)
