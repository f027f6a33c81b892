"""Clients of the SCIM server: a bearer token decides the client and its source, and how often it may call.

Next: `pipeline/people/scim_token.py`.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from app.domain.errors import BadToken, RateLimited
from app.domain.rate import Buckets
from app.pipeline.people.scim_token import ScimCaller, caller_of, note_use, valid_token
from app.pipeline.ports.services import Services

REQUESTS_A_SECOND, REQUESTS_AT_ONCE = 50.0, 500.0
UNKNOWN_A_SECOND, UNKNOWN_AT_ONCE = 2.0, 60.0
_BEARER = re.compile(r"bearer +([\x21-\x7e]{1,200})", re.IGNORECASE)


@dataclass(slots=True)
class Clients:
    """Recognises clients by their tokens, and limits how often they may call."""

    services: Services
    _requests: Buckets = field(default_factory=lambda: Buckets(REQUESTS_A_SECOND, REQUESTS_AT_ONCE))
    _unknown: Buckets = field(default_factory=lambda: Buckets(UNKNOWN_A_SECOND, UNKNOWN_AT_ONCE))

    def admit(self, authorization: str, address: str) -> ScimCaller:
        """Return the caller; raises BadToken, Forbidden, RateLimited or StoreUnavailable.

        The token is looked up before any limit, so a guesser does not shut out others who share the address.
        """
        match = _BEARER.fullmatch(authorization.strip())
        token = valid_token(self.services, match[1]) if match else None
        if token is None:
            _limit(self._unknown.take(address, time.monotonic()), "too many requests without a valid token")
            raise BadToken("send a bearer token that is known here and not revoked")
        _limit(self._requests.take(token.id, time.monotonic()), "this client sends more requests than it may")
        return caller_of(self.services, token)

    def note(self, caller: ScimCaller) -> None:
        """Note that a client has called."""
        note_use(self.services, caller)


def _limit(wait: float, why: str) -> None:
    if wait:
        raise RateLimited(why, retry_after=wait)
