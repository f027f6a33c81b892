"""What is asked of the database about SCIM clients: the room of a `Unit` (`line.py`) that holds their tokens.

What clients write is kept by the SCIM library's own storage, which the web is handed: see `people/serve_scim.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from app.domain.scim import ScimToken


class ScimTokens(Protocol):
    """The bearer tokens of SCIM clients, inside a unit. Only their digests are kept."""

    def add(self, token: ScimToken, digest: str) -> None:
        """Keep a new token. A client may have several: the old one is revoked once the client uses the new one."""
        ...

    def valid(self, digest: str) -> ScimToken | None:
        """Return the token of this digest; None if there is none, or if it is revoked."""
        ...

    def note_use(self, token: ScimToken, now: datetime) -> bool:
        """Note that the token was used; False if that was noted less than a minute ago."""
        ...

    def all(self) -> list[ScimToken]:
        """List all tokens ever made, oldest first."""
        ...

    def revoke(self, identifier: str, now: datetime) -> ScimToken | None:
        """Revoke a token by its id or the end of it; None if it was before. Raises NotFound if that names none or several."""
        ...
