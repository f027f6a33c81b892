"""Seal secrets at rest: AES-256-GCM, a data key per secret, wrapped by the master key, bound to its purpose.

The purpose is authenticated (AAD), so a sealed value does not open in another row or for another use. Fernet does not have
such a binding. A new master key only rewraps the data keys. Nonces are random (NIST SP 800-38D §8.2.2); each data key is
used once.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from app.domain.errors import BadConfiguration, SealBroken
from app.integrations.system import random_bytes

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = 1


class Sealer:
    """Seals and unseals under one master key of 32 bytes; raises BadConfiguration for any other length."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise BadConfiguration([f"the master key must have {KEY_BYTES} bytes"])
        self._kek = AESGCM(master_key)
        self.key_id = hashlib.sha256(b"tidegate master key id" + master_key).hexdigest()[:16]

    def seal(self, plaintext: bytes, purpose: str) -> str:
        """Return the sealed form as JSON text. It opens only for the same purpose."""
        key = random_bytes(KEY_BYTES)
        key_nonce, nonce = random_bytes(NONCE_BYTES), random_bytes(NONCE_BYTES)
        parts = {
            "key_nonce": key_nonce,
            "key": self._kek.encrypt(key_nonce, key, self._associated_data(purpose)),
            "nonce": nonce,
            "text": AESGCM(key).encrypt(nonce, plaintext, self._associated_data(purpose)),
        }
        plain = {"v": VERSION, "kek": self.key_id}
        return json.dumps(plain | {name: base64.b64encode(value).decode() for name, value in parts.items()})

    def unseal(self, sealed: str, purpose: str) -> bytes:
        """Return the plaintext; raises SealBroken for another master key, another purpose or any change."""
        try:
            parts = json.loads(sealed)
            if parts["v"] != VERSION or parts["kek"] != self.key_id:
                raise SealBroken("the value was sealed with another master key")
            key_nonce, key, nonce, text = (
                base64.b64decode(parts[name], validate=True) for name in ("key_nonce", "key", "nonce", "text")
            )
            data_key = self._kek.decrypt(key_nonce, key, self._associated_data(purpose))
            return AESGCM(data_key).decrypt(nonce, text, self._associated_data(purpose))
        except (InvalidTag, ValueError, KeyError, TypeError, binascii.Error, RecursionError):
            raise SealBroken from None

    def _associated_data(self, purpose: str) -> bytes:
        return f"tidegate:{VERSION}:{self.key_id}:{purpose}".encode()
