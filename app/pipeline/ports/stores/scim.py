"""The port to the tokens of SCIM clients: a room of a `Unit` (`unit.py`).

The resources that clients write are in the SCIM library's own storage, which is handed to the web: see
`people/serve_scim.py`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from app.domain.scim import ScimToken


class ScimTokens(Protocol):
    """The bearer tokens of SCIM clients, inside a unit. Only their digests are kept."""

    def add(self, token: ScimToken, digest: str) -> None:
        """Store a new token. A client may have several: the old one is revoked once the client uses the new one."""
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
        """Revoke a token by its id or the end of it; None if it was revoked before. Raises NotFound unless one matches."""
        ...
