"""SCIM clients: their tokens, and the resources that they write. Read in `integrations/identity/scim.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ScimToken:
    """A token as the gate knows it: its client, and the source that it speaks for."""

    id: str
    source: str
    client: str
    created_at: datetime
    created_by: str
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WrittenResource:
    """A resource that a request wrote: the document as it is now, None if it was deleted; `former` as it was before a change."""

    type: str
    id: str
    document: Mapping[str, Any] | None
    former: Mapping[str, Any] | None = None

    @property
    def is_same_person(self) -> bool:
        """Tell whether the provider says that a changed user is the same person: by its own id (RFC 7643 §3.1, externalId)."""
        if self.type != "User" or self.document is None or self.former is None:
            return False
        external_id = self.document.get("externalId")
        return bool(external_id) and external_id == self.former.get("externalId")


def digest_of(token: str) -> str:
    """Return the digest by which a token is stored. A token has 256 random bits, so a plain hash cannot be reversed."""
    return hashlib.sha256(token.encode()).hexdigest()
