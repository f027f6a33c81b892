"""Sign webhooks by the Standard Webhooks specification, for targets and sinks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md: headers webhook-id,
webhook-timestamp and webhook-signature (`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import datetime

from app.domain.errors import SecretUnavailable


def signed_headers(message_id: str, body: bytes, *, secret: bytes, now: datetime) -> dict[str, str]:
    """Return the headers that prove `body` under this id; raises SecretUnavailable."""
    stamp = str(int(now.timestamp()))
    digest = hmac.digest(_key(secret), f"{message_id}.{stamp}.".encode() + body, "sha256")
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: bytes) -> bytes:
    try:
        encoded = secret.startswith(b"whsec_")
        key = base64.b64decode(secret.removeprefix(b"whsec_"), validate=True) if encoded else secret
    except binascii.Error:
        raise SecretUnavailable("the webhook secret behind whsec_ is not base64") from None
    if not key:
        raise SecretUnavailable("the webhook secret is empty")
    return key
