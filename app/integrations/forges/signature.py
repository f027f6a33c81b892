"""Verify a delivery: HMAC-SHA256 in bare hex over the JSON bytes, as Gogs, Gitea and Forgejo all send it.

Sources: gogs internal/database/webhook.go; gitea and forgejo services/webhook/deliver.go (addDefaultHeaders). The
signature covers the JSON only, not the delivery id, the event header or the URL.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import a2b_qp
from collections.abc import Mapping

from app.domain.errors import BadDelivery, BadSignature, UnsupportedContent
from app.integrations.forges.protocol import UnverifiedDelivery, VerifiedPayload

KINDS = ("forgejo", "gitea", "gogs")  # the most specific first: each product also sends the headers of the later ones
MOST_FIELDS = 8
_DIGITS = {"sha256": 64, "sha1": 40}
_HEX = {algorithm: re.compile(rf"[0-9a-f]{{{digits}}}") for algorithm, digits in _DIGITS.items()}
_LOOKED_AT = 64 * 1024  # bytes of an unsigned body
_SECRET_IN_BODY = re.compile(rb'(?:"|%22)secret(?:"|%22)')
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})|[\r\n]")
_DELIVERY_ID = re.compile(r"\A[\x21-\x7e]{1,128}\Z")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s;"']*)""", re.IGNORECASE)
_EVENT = re.compile(r"\A[a-z_]{1,64}\Z")


def verify(unverified: UnverifiedDelivery, secrets: list[bytes], kind: str) -> VerifiedPayload:
    """Verify the signature with one of `secrets`, and check that the headers are of `kind`.

    Raises BadSignature, UnsupportedContent or BadDelivery.
    """
    headers = unverified.headers
    signatures = _signatures(unverified)
    payload = _payload(unverified)
    secret = next((secret for secret in secrets if secret and _all_match(payload, signatures, secret)), None)
    if secret is None:
        raise BadSignature(f"the signature does not fit the body: compare {_both_secrets(unverified)}")
    sender = kind_of(headers)
    if sender != kind:
        raise BadDelivery(f"this is a delivery of {sender}, but {unverified.forge} is configured as {kind}")
    names = _delivery_id(headers), _event(headers, kind), _secret_name(secret)
    return VerifiedPayload(unverified.forge, payload, *names, kind)


def kind_of(headers: Mapping[str, str]) -> str:
    """Return the forge's kind, by its own headers."""
    return next((kind for kind in KINDS if f"x-{kind}-delivery" in headers), "an unknown forge")


def _secret_name(secret: bytes) -> str:
    """Name a secret without revealing it, by 32 bits of its digest."""
    return hashlib.sha256(secret).hexdigest()[:8]


def _signatures(unverified: UnverifiedDelivery) -> list[tuple[str, str]]:
    """List (algorithm, hex) of every signature header; raises BadSignature if one is empty or malformed, or none is SHA-256."""
    headers = unverified.headers
    given = [(name, "sha256", headers[name]) for kind in KINDS if (name := f"x-{kind}-signature") in headers]
    for name, algorithm in (("x-hub-signature-256", "sha256"), ("x-hub-signature", "sha1")):
        if name in headers:
            prefix, _, digest = headers[name].partition("=")
            given.append((name, algorithm, digest if prefix == algorithm else headers[name]))
    if not any(algorithm == "sha256" for _, algorithm, _ in given):
        raise BadSignature(_why_unsigned(unverified))
    for name, algorithm, digest in given:
        if not digest:
            raise BadSignature(f"the signature is empty, so the webhook has no secret: give it one, {_as_configured(unverified)}")
        if not _HEX[algorithm].fullmatch(digest):
            form = f"{_DIGITS[algorithm]} digits of hex"
            raise BadSignature(f"the header {name} is not a signature of {form}: something on the way has changed it")
    return [(algorithm, digest) for _, algorithm, digest in given]


def _why_unsigned(unverified: UnverifiedDelivery) -> str:
    """Say what an unsigned delivery lacks. Forges that are too old to sign put the secret into the body, which proves nothing."""
    if _SECRET_IN_BODY.search(unverified.body, 0, _LOOKED_AT):
        return (
            "the delivery is not signed, and its secret is in the body, as Gogs before 0.10 and Gitea before 1.9 send it:"
            " that can be replayed with another body, so update the forge"
        )
    return f"the delivery has no signature: give the webhook a secret, {_as_configured(unverified)}"


def _both_secrets(unverified: UnverifiedDelivery) -> str:
    return f"the secret of the webhook at the forge with webhook_secrets of [forges.{unverified.forge}] in tidegate.toml"


def _as_configured(unverified: UnverifiedDelivery) -> str:
    return f"the one in webhook_secrets of [forges.{unverified.forge}] in tidegate.toml"


def _all_match(payload: bytes, signatures: list[tuple[str, str]], secret: bytes) -> bool:
    """Tell whether every signature is of this one secret, each in constant time."""
    matches = [
        hmac.compare_digest(hmac.digest(secret, payload, algorithm).hex().encode(), digest.encode())
        for algorithm, digest in signatures
    ]
    return all(matches)


def _payload(unverified: UnverifiedDelivery) -> bytes:
    content_type, _, parameters = unverified.headers.get("content-type", "").partition(";")
    content_type = content_type.strip().lower()
    if (named := _CHARSET.search(parameters)) and named[1].lower() not in ("utf-8", "us-ascii"):
        raise UnsupportedContent("the only charset is UTF-8")  # RFC 8259 §8.1: JSON has no other
    if content_type == "application/json":
        return unverified.body
    if content_type != "application/x-www-form-urlencoded":
        raise UnsupportedContent
    return _form_payload(unverified.body)


def _form_payload(body: bytes) -> bytes:
    """Return the one field `payload` of a form; raises BadDelivery.

    Any sender may post a form, and urllib's parser makes an object of every escape: 2 GB and seconds for a form of 25 MB.
    """
    fields = body.split(b"&", MOST_FIELDS)
    try:
        if len(fields) > MOST_FIELDS or not body.isascii():
            raise ValueError
        pairs = [field.split(b"=", 1) for field in fields]
        (payload,) = [value for name, value in pairs if value and _unescape(name) == b"payload"]
        unescaped = _unescape(payload)
        unescaped.decode()
    except ValueError:
        raise BadDelivery("the form holds no readable field `payload`") from None
    return unescaped


def _unescape(text: bytes) -> bytes:
    """Undo `+` and `%XX` (WHATWG URL §5.1). Quoted-printable is the same with `=`, and is decoded in C."""
    if _BAD_ESCAPE.search(text):
        raise ValueError
    return a2b_qp(text.replace(b"=", b"%3D").replace(b"+", b" ").replace(b"%", b"="))


def _delivery_id(headers: Mapping[str, str]) -> str:
    names = [f"x-{kind}-delivery" for kind in KINDS] + ["x-github-delivery"]
    ids = {headers[name] for name in names if name in headers}
    if len(ids) != 1 or not _DELIVERY_ID.match(next(iter(ids))):
        raise BadDelivery("the delivery id is missing, malformed, or not the same in all headers")
    return ids.pop()


def _event(headers: Mapping[str, str], kind: str) -> str:
    event = headers.get(f"x-{kind}-event", "")
    if not _EVENT.match(event):
        raise BadDelivery("the event header is missing or malformed")
    return event
