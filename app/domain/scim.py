"""What the gate knows of a SCIM client: its token, and what it has written. Read in `integrations/identity/scim.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ScimToken:
    """A token as it is known here: whose it is, and for which source it speaks."""

    id: str
    source: str
    client: str
    created_at: datetime
    created_by: str
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WrittenResource:
    """What a request wrote: the document as it is now, None if it was deleted."""

    type: str
    id: str
    document: Mapping[str, Any] | None


def digest_of(token: str) -> str:
    """Return what is kept of a token. It has 256 random bits, so a plain hash cannot be turned back."""
    return hashlib.sha256(token.encode()).hexdigest()
