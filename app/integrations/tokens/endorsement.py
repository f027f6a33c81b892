"""Endorse published keys, so that a row in the database is not enough to have a key published.

A process with the master key endorses with Ed25519; the key for that is derived from the master key (HKDF, RFC 5869) for
this purpose alone. The receiver only checks, and needs only the public half (`TIDEGATE_KEYSET_KEY`), which is not a secret.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LABEL = b"tidegate: endorse published keys, version 1"


class Endorser:
    """Vouches for published keys. It keeps the derived key only, never the master key."""

    def __init__(self, master_key: bytes) -> None:
        seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=LABEL).derive(master_key)
        self._private = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public(self) -> str:
        """The public half in base64, by which others check."""
        return base64.b64encode(self._private.public_key().public_bytes_raw()).decode()

    def endorse(self, public_jwk: Mapping[str, Any], made_at: datetime) -> str:
        """Return the endorsement of a public key, with its id, and of the time when it was made."""
        return base64.b64encode(self._private.sign(_statement(public_jwk, made_at))).decode()


class EndorsementCheck:
    """Tells which public keys were endorsed by the holder of the master key. `public` is 32 bytes in base64."""

    def __init__(self, public: str) -> None:
        self._public = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))

    def holds(self, endorsement: str, public_jwk: Mapping[str, Any], made_at: datetime) -> bool:
        """Tell whether the endorsement is one of this key and time."""
        try:
            self._public.verify(base64.b64decode(endorsement, validate=True), _statement(public_jwk, made_at))
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def _statement(public_jwk: Mapping[str, Any], made_at: datetime) -> bytes:
    said = {"jwk": public_jwk, "made_at": made_at.timestamp()}
    return LABEL + b"\n" + json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
