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
from app.store.scim_tokens import USE_NOTED_EVERY, ScimToken, SqlScimTokens, digest_of
from app.store.session import SqlStore

REQUESTS_A_SECOND, REQUESTS_AT_ONCE = 50.0, 500.0
UNKNOWN_A_SECOND, UNKNOWN_AT_ONCE = 2.0, 60.0
KNOWN_FOR = 3600.0
MOST_KNOWN = 1000
_BEARER = re.compile(r"bearer +([\x21-\x7e]{1,200})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated client, and the options of the source for which it speaks."""

    token: ScimToken
    options: Options


@dataclass(slots=True)
class Clients:
    """Tells callers by their tokens, and how often they may come."""

    process: Process
    _requests: Buckets = field(default_factory=lambda: Buckets(REQUESTS_A_SECOND, REQUESTS_AT_ONCE))
    _unknown: Buckets = field(default_factory=lambda: Buckets(UNKNOWN_A_SECOND, UNKNOWN_AT_ONCE))
    _known: dict[str, float] = field(default_factory=dict)

    def admit(self, authorization: str, address: str) -> Caller:
        """Return who calls; raises BadToken, Forbidden, RateLimited or StoreUnavailable."""
        digest = self._presented(authorization, address)
        store = SqlStore(self.process.engine)
        with store.single() as unit:
            token = SqlScimTokens(unit.connection).valid(digest)
        if token is None:
            self._known.pop(digest, None)
            raise BadToken("the token is not known, or revoked")
        self._remember(digest)
        _limited(self._requests.take(token.id, time.monotonic()), "this client sends more than it may")
        caller = Caller(token, self._options(token.source))
        self._heard(store, token)
        return caller

    def _presented(self, authorization: str, address: str) -> str:
        """Return the digest of the token; who guesses is slowed down, but who was known lately is not made to wait for it."""
        found = _BEARER.fullmatch(authorization.strip())
        digest = digest_of(found[1]) if found else ""
        if self._known.get(digest, 0.0) < time.monotonic():
            _limited(self._unknown.take(address, time.monotonic()), "too many requests without a valid token")
        if not digest:
            raise BadToken("a bearer token is needed")
        return digest

    def _remember(self, digest: str) -> None:
        now = time.monotonic()
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[digest] = now + KNOWN_FOR

    def _options(self, source: str) -> Options:
        binding = self.process.services.guard().sources.get(source)
        if binding is None or binding.rule.kind is not SourceKind.SCIM or not isinstance(binding.options, Options):
            raise Forbidden(f"the source {source!r} of this token is not configured (any more) with kind scim")
        return binding.options

    def _heard(self, store: SqlStore, token: ScimToken) -> None:
        """Note, at most once a minute, that the token is in use and its source heard: what it has not said has not changed."""
        now = self.process.clock.now()
        if token.last_used_at is not None and now - token.last_used_at < USE_NOTED_EVERY:
            return
        with store.unit() as unit:
            if SqlScimTokens(unit.connection).note_use(token, now):
                unit.statements.open(token.source, SourceKind.SCIM)
                unit.statements.heard(token.source, now, whole=False)


def _limited(wait: float, why: str) -> None:
    if wait:
        raise RateLimited(why, retry_after=wait)
