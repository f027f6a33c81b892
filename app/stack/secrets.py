"""The stack's own secrets: made on first start, one file each, mode 0600, never shown (Flower's: once)."""

from __future__ import annotations

import base64
from pathlib import Path

from app.integrations.system import random_bytes, write_private


def load_or_make_secret(path: Path, *, size: int = 24, urlsafe: bool = True) -> tuple[str, bool]:
    """Return the secret in the file `path`, and whether it was made now because it was missing."""
    if path.exists():
        return path.read_text(encoding="ascii").strip(), False
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    value = encode(random_bytes(size)).decode().rstrip("=" if urlsafe else "")
    write_private(path, value + "\n")
    return value, True
