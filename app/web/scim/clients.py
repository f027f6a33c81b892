"""Who speaks to the SCIM server: a bearer token decides the client and its source. Made with `tidegate scim token create`."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field

from app.bootstrap import Process
from app.domain.access import SourceKind
from app.domain.errors import BadToken, Forbidden, RateLimited
from app.domain.rate import Buckets
from app.integrations.identity.scim import Options
from app.pipeline.people.scribe import Scribe
from app.store.scim.tokens import USE_NOTED_EVERY, ScimToken, SqlScimTokens, digest_of
from app.store.unit import SqlStore

REQUESTS_A_SECOND, REQUESTS_AT_ONCE = 50.0, 500.0
UNKNOWN_A_SECOND, UNKNOWN_AT_ONCE = 2.0, 60.0
_BEARER = re.compile(r"bearer +([\x21-\x7e]{1,200})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ScimCaller:
    """An authenticated client, and the options of the source for which it speaks."""

    token: ScimToken
    options: Options


@dataclass(slots=True)
class Clients:
    """Tells callers by their tokens, and how often they may come."""

    process: Process
    _requests: Buckets = field(default_factory=lambda: Buckets(REQUESTS_A_SECOND, REQUESTS_AT_ONCE))
    _unknown: Buckets = field(default_factory=lambda: Buckets(UNKNOWN_A_SECOND, UNKNOWN_AT_ONCE))

    def admit(self, authorization: str, address: str) -> ScimCaller:
        """Return who calls; raises BadToken, Forbidden, RateLimited or StoreUnavailable.

        The token is looked up first: who shares an address with somebody who guesses does not notice it.
        """
        token = self._token(authorization)
        if token is None:
            _limited(self._unknown.take(address, time.monotonic()), "too many requests without a valid token")
            raise BadToken("a bearer token is needed that is known here and not revoked")
        _limited(self._requests.take(token.id, time.monotonic()), "this client sends more than it may")
        return ScimCaller(token, self._options(token.source))

    def heard(self, caller: ScimCaller) -> None:
        """Note, at most once a minute, that the token is in use and its source heard: what it has not said has not changed."""
        token, now = caller.token, self.process.clock.now()
        if token.last_used_at is not None and now - token.last_used_at < USE_NOTED_EVERY:
            return
        with SqlStore(self.process.engine).unit() as unit:
            if SqlScimTokens(unit.connection).note_use(token, now):
                Scribe.of(self.process.clock, self.process.ids, f"scim:{token.client}").open(unit, token.source, SourceKind.SCIM)
                unit.statements.heard(token.source, now, whole=False)

    def _token(self, authorization: str) -> ScimToken | None:
        found = _BEARER.fullmatch(authorization.strip())
        if found is None:
            return None
        with SqlStore(self.process.engine).single() as unit:
            return SqlScimTokens(unit.connection).valid(digest_of(found[1]))

    def _options(self, source: str) -> Options:
        binding = self.process.services.guard().sources.get(source)
        if binding is None or binding.rule.kind is not SourceKind.SCIM or not isinstance(binding.options, Options):
            raise Forbidden(f"the source {source!r} of this token is not configured (any more) with kind scim")
        return binding.options


def _limited(wait: float, why: str) -> None:
    if wait:
        raise RateLimited(why, retry_after=wait)
