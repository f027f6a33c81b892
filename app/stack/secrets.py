"""The stack's own secrets: made on first start, one file each, mode 0600, never shown again (Flower's: once)."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from app.integrations.system import random_bytes


def kept_secret(path: Path, *, size: int = 24, urlsafe: bool = True) -> tuple[str, bool]:
    """Return the secret kept in `path`, made there if it is missing; and whether it was made now."""
    if path.exists():
        return path.read_text(encoding="ascii").strip(), False
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    value = encode(random_bytes(size)).decode().rstrip("=" if urlsafe else "")
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(value + "\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return value, True
