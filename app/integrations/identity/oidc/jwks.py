"""The public keys of one issuer, fetched over the outbound client and kept parsed: a warm look-up costs a dictionary access.

Keys come from the configured URL or from the issuer's own discovery document, and from nowhere else. The keys that a token's
header names (`jku`, `x5u`, `jwk`, `x5c`) are never read. A key that the issuer withdraws stays trusted for up to TTL.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey, import_key
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.clock import Clock
from app.domain.errors import BadToken, IssuerUnavailable
from app.integrations.http import HttpClient, NotSent, Unanswered
from app.integrations.identity.oidc.issuers import IssuerProfile, is_fetchable
from app.integrations.identity.oidc.kinds import KEY_OF

TTL = timedelta(seconds=300)
COOLDOWN = timedelta(seconds=10)  # from the end of one fetch to the next, whatever its outcome
WAIT_SECONDS = 3.0  # for another thread's fetch: a slow issuer must not block every thread
LONGEST_STALE = timedelta(hours=24)
CONNECT_SECONDS = 2.0
READ_SECONDS = 3.0
LARGEST = 256 * 1024
MOST_KEYS = 100
RSA_BITS = range(2048, 8193)  # RFC 7518 §3.3 demands 2048; more than 8192 only costs time
PUBLIC_MEMBERS = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")  # RFC 7518 §6: none of them is private


class _Unfit(Exception):
    """The issuer's answer cannot be used."""


class _KeySet(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    keys: Annotated[list[dict[str, Any]], Field(max_length=MOST_KEYS)]


class _Discovery(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)
    issuer: str
    jwks_uri: str


@dataclass(frozen=True, slots=True)
class _Held:
    """The keys by id, and those without an id."""

    keys: Mapping[str, Key]
    at: datetime
    unnamed: tuple[Key, ...] = ()

    def fitting(self, alg: str) -> list[Key]:
        """List the keys that can verify signatures of this algorithm."""
        kind, curve = KEY_OF[alg]
        own = (key for key in (*self.keys.values(), *self.unnamed) if key.key_type == kind and key.alg in (None, alg))
        return [key for key in own if curve is None or curve == getattr(key, "curve_name", None)]


class Fetches:
    """Lets one thread at a time ask an issuer. After each attempt, successful or not, nothing is asked for COOLDOWN."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._fetching = threading.Lock()
        self._tried_at: datetime | None = None

    def run(self, fetch: Callable[[], None], *, wait: float) -> bool:
        """Call `fetch` if one is due. Return False if another thread's fetch still runs after `wait` seconds."""
        if not self._fetching.acquire(timeout=wait):
            return False
        try:
            if self._tried_at is None or not is_within(COOLDOWN, self._tried_at, self._clock.now()):
                self._fetch(fetch)
        finally:
            self._fetching.release()
        return True

    def _fetch(self, fetch: Callable[[], None]) -> None:
        try:
            fetch()
        finally:
            self._tried_at = self._clock.now()


def is_within(limit: timedelta, since: datetime, now: datetime) -> bool:
    """Tell whether less than `limit` has passed. If the clock was set back, the answer is no."""
    return timedelta(0) <= now - since < limit


class IssuerKeys:
    """The keys of one issuer, shared by threads. One thread fetches; the others use the held keys, or wait for new ones."""

    def __init__(self, profile: IssuerProfile, *, clock: Clock, client: HttpClient | None = None) -> None:
        self._profile = profile
        self._clock = clock
        self._client = client or HttpClient(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        self._fetches = Fetches(clock)
        self._held: _Held | None = None
        self._fault = ""
        self._discovered: str | None = None

    def key(self, kid: str) -> Key | None:
        """Return the key of this id, or None if the issuer has none; raises IssuerUnavailable if that cannot be known."""
        held = self._held
        if held is None or kid not in held.keys or not self._is_within(TTL, held.at):
            held = self._refresh(kid)
        return held.keys.get(kid)

    def only_key(self, alg: str, *, anew: bool = False) -> Key:
        """Return the only key that fits this algorithm, for a token that names none (RFC 7515 §4.1.4: `kid` is optional).

        `anew`: the held one did not verify, so a newer one is asked for, if that is due. Raises BadToken if several fit or none
        does, and IssuerUnavailable.
        """
        held = self._held
        if held is None or anew or not self._is_within(TTL, held.at):
            held = self._refresh(None)
        fitting = held.fitting(alg)
        if len(fitting) != 1:
            count = f"{len(fitting)} keys fit" if fitting else "no key fits"
            raise BadToken(f"kid: the token names no key, and {count} of those that the issuer publishes")
        return fitting[0]

    def warm(self) -> None:
        """Fetch the keys before the first token comes; raises IssuerUnavailable."""
        if self._held is None:
            self._refresh(None)

    def _refresh(self, kid: str | None) -> _Held:
        """Fetch if that is due, and return the held keys. Wait for another thread's fetch only if the held keys do not serve."""
        held = self._usable()
        must_wait = held is None or (kid is not None and kid not in held.keys)
        is_done = self._fetches.run(self._fetch, wait=WAIT_SECONDS if must_wait else 0)
        held = self._usable()
        fault = self._fault if is_done else self._fault or "it has not answered yet"
        if held is None or (fault and kid is not None and kid not in held.keys):
            raise IssuerUnavailable(f"the keys of issuer {self._profile.name} are not available now: {fault or 'too old'}")
        return held

    def _usable(self) -> _Held | None:
        held = self._held
        return held if held is not None and self._is_within(LONGEST_STALE, held.at) else None

    def _is_within(self, limit: timedelta, since: datetime) -> bool:
        return is_within(limit, since, self._clock.now())

    def _fetch(self) -> None:
        started = self._clock.now()
        try:
            named, unnamed = _keys_from(self._read(self._profile.jwks_url or self._place()))
            self._held, self._fault = _Held(named, started, unnamed), ""
        except _Unfit as fault:
            self._fault, self._discovered = str(fault), None

    def _place(self) -> str:
        """Ask the issuer for the URL of its keys (OpenID Connect Discovery 1.0 §4), and again only after a fault."""
        if self._discovered is None:
            issuer = self._profile.issuer
            try:
                document = _Discovery.model_validate(self._read(f"{issuer.rstrip('/')}/.well-known/openid-configuration"))
            except ValidationError:
                raise _Unfit("its discovery document does not name an issuer and a jwks_uri") from None
            if document.issuer != issuer:
                raise _Unfit("its discovery document is of another issuer")
            if not is_fetchable(document.jwks_uri, loopback=issuer.startswith("http://")):
                raise _Unfit("the jwks_uri of its discovery document is not an https URL")
            self._discovered = document.jwks_uri
        return self._discovered

    def _read(self, url: str) -> object:
        try:
            answer = self._client.get(url, headers={"accept": "application/json"}, limit=LARGEST)
        except (NotSent, Unanswered) as fault:
            raise _Unfit(f"no answer ({fault})") from None
        if answer.status != 200:
            raise _Unfit(f"HTTP {answer.status}")
        if not answer.is_whole:
            raise _Unfit(f"the answer is larger than {LARGEST} bytes")
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError):
            raise _Unfit("the answer is not JSON") from None


def _keys_from(answer: object) -> tuple[Mapping[str, Key], tuple[Key, ...]]:
    """Read the keys that can verify a signature, by id, and those without. Unknown kinds are left out (RFC 7517 §5)."""
    try:
        keys = [key for jwk in _KeySet.model_validate(answer).keys if (key := _key(jwk))]
    except ValidationError:
        raise _Unfit(f"the answer is not a key set, or one of more than {MOST_KEYS} keys") from None
    if not keys:
        raise _Unfit("the key set holds no usable key")
    named = dict(reversed([(kid, key) for kid, key in keys if kid]))  # of two keys with one id, the first counts
    return named, tuple(key for kid, key in keys if not kid)


def _key(jwk: dict[str, Any]) -> tuple[str, Key] | None:
    """Import a public key for signatures, with its id or "". A symmetric key is not public, even if an issuer publishes it."""
    kid, operations = jwk.get("kid", ""), jwk.get("key_ops", ["verify"])
    is_for_signatures = jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if not isinstance(kid, str) or jwk.get("kty") not in ("RSA", "EC", "OKP") or not is_for_signatures:
        return None
    try:
        key = import_key(_members(jwk))
        return (kid, key) if _is_fit(key) else None
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _members(jwk: dict[str, Any]) -> dict[str, Any]:
    """Copy the public members, but not the `alg` of an Ed25519 key: it has two names, and the curve allows no other."""
    members = {name: jwk[name] for name in PUBLIC_MEMBERS if name in jwk}
    if jwk.get("crv") == "Ed25519" and members.get("alg") in ("EdDSA", "Ed25519"):
        del members["alg"]
    return members


def _is_fit(key: Key) -> bool:
    match key:
        case RSAKey():
            return key.public_key.key_size in RSA_BITS
        case ECKey():
            return key.curve_name in ("P-256", "P-384") and bool(key.public_key)
        case OKPKey():
            return key.curve_name == "Ed25519" and bool(key.public_key)
        case _:
            return False
