"""Check tokens of the configured issuers: return the principal that a token names, or say in one line which check failed.

Nothing in a token is believed before its signature holds, with two exceptions: `kid` chooses among the issuer's own keys, and
`iss` among the configured profiles. RFC 8725 lists the attacks that this prevents. Error texts never hold a part of a token.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import Key

from app.domain.access import subject_from
from app.domain.clock import Clock
from app.domain.errors import BadConfiguration, BadToken, IssuerUnavailable
from app.domain.principal import GATE_PRINCIPAL
from app.integrations.http import HttpClient
from app.integrations.identity.oidc.claims import groups, instant, methods, needed_instant, scopes, text, why_email_unverified
from app.integrations.identity.oidc.issuers import IssuerProfile
from app.integrations.identity.oidc.jwks import IssuerKeys
from app.integrations.identity.oidc.kinds import NAMEABLE, SAME_AS
from app.integrations.identity.protocol import VerifiedToken

LARGEST_TOKEN = 16 * 1024
# The name says Ed25519 or Ed448, which is why it is deprecated; here the key decides, and it is never Ed448.
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")  # RFC 7515 §7.1: three parts, no padding
_COUNTRY = re.compile(r"[A-Z]{2}")


class Validator:
    """Checks tokens against one profile."""

    def __init__(self, profile: IssuerProfile, keys: IssuerKeys, clock: Clock) -> None:
        self.profile = profile
        self._keys = keys
        self._clock = clock
        self._leeway = timedelta(seconds=profile.leeway)
        self._registry = jws.JWSRegistry(algorithms=sorted(_spellings(profile.algorithms)), strict_check_header=False)
        self._registry.max_header_length = self._registry.max_signature_length = LARGEST_TOKEN

    def validate(self, token: str, *, nonce: str | None = None) -> VerifiedToken:
        """Return what the token proves; raises BadToken or IssuerUnavailable.

        If the login sent a `nonce`, the token must hold the same one (OpenID Connect Core 1.0 §3.1.3.7, 11).
        """
        claims = self._signed_claims(token)
        self._check_issued(claims, nonce)
        self._check_times(claims, self._clock.now())
        return self._verified_token(claims)

    def warm(self) -> None:
        """Fetch the issuer's keys before the first token comes; raises IssuerUnavailable."""
        self._keys.warm()

    def _signed_claims(self, token: str) -> dict[str, Any]:
        """Verify the signature by the key that the header names, or by the only one that fits if it names none."""
        alg, kid = self._alg_and_kid(_header(token))
        if kid is None:
            return self._claims_by_only_key(token, alg)
        key = self._keys.key(kid)
        if key is None:
            raise BadToken("kid: the issuer has no such key")
        return self._claims(token, key)

    def _claims_by_only_key(self, token: str, alg: str) -> dict[str, Any]:
        """Try the held key, and a newer one if the issuer has changed it since."""
        held = self._keys.only_key(alg)
        try:
            return self._claims(token, held)
        except BadToken:
            newer = self._keys.only_key(alg, anew=True)
            if newer is held:
                raise
            return self._claims(token, newer)

    def _alg_and_kid(self, unverified_header: Mapping[str, Any]) -> tuple[str, str | None]:
        """Check the header; return the algorithm, and the id of the key if it names one.

        Any `crit` is refused, since no extension is understood here (RFC 7515 §4.1.11).
        """
        alg, typ = unverified_header.get("alg"), unverified_header.get("typ", "")
        if not isinstance(alg, str) or SAME_AS.get(alg, alg) not in self.profile.algorithms:
            seen = f", but {alg}" if isinstance(alg, str) and alg in NAMEABLE else ""
            raise BadToken(f"alg: not {' or '.join(sorted(self.profile.algorithms))}{seen}")
        if not isinstance(typ, str) or typ.lower() not in self.profile.rules.types:
            raise BadToken("typ: not a kind of token that this issuer's profile accepts")
        if "crit" in unverified_header:
            raise BadToken("crit: asks for an extension that is not understood")
        kid = unverified_header.get("kid")
        if "kid" in unverified_header and (not isinstance(kid, str) or not kid):
            raise BadToken("kid: names no key")
        return SAME_AS.get(alg, alg), kid

    def _claims(self, token: str, key: Key) -> dict[str, Any]:
        try:
            signed = jws.deserialize_compact(token, key, registry=self._registry)
        except (JoseError, ValueError):
            raise BadToken("signature: does not verify with the issuer's key") from None
        return _json_object(signed.payload or b"", "payload")

    def _check_issued(self, claims: Mapping[str, Any], nonce: str | None) -> None:
        """Check the issuer, the audience and the required claims."""
        if claims.get("iss") != self.profile.issuer:
            raise BadToken("iss: another issuer")
        self._check_audience(claims)
        for name, allowed in self.profile.rules.required.items():
            if not isinstance(claims.get(name), str) or claims[name] not in allowed:
                raise BadToken(f"{name}: not {' or '.join(sorted(allowed))}")
        if nonce is not None and not _is_same(claims.get("nonce"), nonce):
            raise BadToken("nonce: not the one that was sent")

    def _check_audience(self, claims: Mapping[str, Any]) -> None:
        """Check that the audience is ours alone, or ours beside those that are configured, if `azp` is ours.

        OpenID Connect Core 1.0 §3.1.3.7, 3 to 5: no audience that is not trusted, and with several the `azp` is our client.
        """
        audience = self.profile.rules.audience_of(claims)
        if audience == self.profile.audience or audience == [self.profile.audience]:
            return
        if not isinstance(audience, list) or self.profile.audience not in audience or not self.profile.extra_audiences:
            raise BadToken("aud: not issued for this gate, or not for it alone")
        others = [name for name in audience if name != self.profile.audience]
        if not all(isinstance(name, str) and name in self.profile.extra_audiences for name in others):
            raise BadToken("aud: issued for others, too, that extra_audiences does not name")
        if claims.get("azp") != self.profile.audience:
            raise BadToken("azp: not this gate's client, which it must be if there are several audiences")

    def _check_times(self, claims: Mapping[str, Any], now: datetime) -> None:
        issued, begins, signed_in = needed_instant(claims, "iat"), instant(claims, "nbf"), instant(claims, "auth_time")
        if now - self._leeway >= needed_instant(claims, "exp"):  # RFC 7519 §4.1.4: on or after it
            raise BadToken("exp: the token has expired")
        if any(moment is not None and moment > now + self._leeway for moment in (issued, begins, signed_in)):
            raise BadToken("iat, nbf, auth_time: one of them is in the future")
        if now - issued > timedelta(seconds=self.profile.max_age) + self._leeway:
            raise BadToken(f"iat: older than {self.profile.max_age:g} s")

    def _verified_token(self, claims: Mapping[str, Any]) -> VerifiedToken:
        is_service = self.profile.rules.is_service(claims)
        country = text(claims, "country")
        return VerifiedToken(
            issuer=self.profile.name,
            subject=self._service_subject(claims) if is_service else self._user_subject(claims),
            sub=text(claims, "sub"),
            is_service=is_service,
            client_id=next((client for name in self.profile.rules.client_claims if (client := text(claims, name))), ""),
            groups=groups(claims, self.profile.groups_claim) if self.profile.groups_claim else frozenset(),
            email="" if self._why_email_unknown(claims) else text(claims, "email"),
            name=text(claims, "name"),
            acr=text(claims, "acr"),
            amr=methods(claims),
            auth_time=instant(claims, "auth_time"),
            issued_at=needed_instant(claims, "iat"),
            expires_at=needed_instant(claims, "exp"),
            country=country if _COUNTRY.fullmatch(country) else "",
            login=text(claims, "preferred_username"),
            scopes=scopes(claims, has_roles=is_service and self.profile.kind == "entra"),
        )

    def _user_subject(self, claims: Mapping[str, Any]) -> str:
        """Return the subject of a person. An address that is not verified may be another person's, so it names no subject."""
        if not text(claims, "sub").strip():
            raise BadToken("sub: missing or empty")
        if self.profile.subject_claim == "email" and (why := self._why_email_unknown(claims)):
            raise BadToken(f"email: the issuer has not verified it: {why}")
        return _subject(claims, self.profile.subject_claim)

    def _service_subject(self, claims: Mapping[str, Any]) -> str:
        name, suffix = self.profile.rules.service_subject_claim, self.profile.rules.service_suffix
        if not text(claims, name).endswith(suffix):
            raise BadToken(f"{name}: names no service")
        return _subject(claims, name)

    def _why_email_unknown(self, claims: Mapping[str, Any]) -> str | None:
        return None if self.profile.rules.vouches_for_email else why_email_unverified(claims)


HeldKeys = dict[tuple[str, str | None], IssuerKeys]  # by issuer and jwks_url


class Validators:
    """Checks tokens of any configured issuer. Profiles of one issuer (for several audiences) share its keys."""

    def __init__(
        self, profiles: Sequence[IssuerProfile], *, clock: Clock, client: HttpClient | None = None, keys: HeldKeys | None = None
    ) -> None:
        """Raises BadConfiguration if two profiles would accept the same tokens. `keys` are those that are held already."""
        self._by_issuer: dict[str, list[Validator]] = {}
        keys = {} if keys is None else keys
        for profile in profiles:
            known = self._by_issuer.setdefault(profile.issuer, [])
            for other in known:
                if other.profile.audience == profile.audience:
                    raise BadConfiguration([f"issuers {other.profile.name} and {profile.name} have one issuer and audience"])
            place = (profile.issuer, profile.jwks_url)
            shared = keys.setdefault(place, IssuerKeys(profile, clock=clock, client=client))
            known.append(Validator(profile, shared, clock))

    def validate(self, token: str) -> VerifiedToken:
        """Return what the token proves to the profile that accepts it; raises BadToken or IssuerUnavailable."""
        _header(token)
        unverified_iss = _json_object(_from_base64(token.split(".")[1]), "payload").get("iss")
        validators = self._by_issuer.get(unverified_iss, []) if isinstance(unverified_iss, str) else []
        if not validators:
            raise BadToken("iss: no configured issuer")
        return _first_accepted(validators, lambda validator: validator.validate(token))

    def warm(self) -> list[str]:
        """Fetch all keys before the first token comes; return the faults, one line each."""
        faults = []
        for validator in (validator for validators in self._by_issuer.values() for validator in validators):
            try:
                validator.warm()
            except IssuerUnavailable as fault:
                faults.append(str(fault))
        return faults


def _spellings(algorithms: Collection[str]) -> set[str]:
    """Return the algorithms with their other names."""
    return {*algorithms, *(other for other, name in SAME_AS.items() if name in algorithms)}


def _first_accepted(validators: Sequence[Validator], check: Callable[[Validator], VerifiedToken]) -> VerifiedToken:
    faults = []
    for validator in validators:
        try:
            return check(validator)
        except BadToken as fault:
            faults.append(f"{validator.profile.name}: {fault}")
    raise BadToken("; ".join(faults))


def _header(token: str) -> dict[str, Any]:
    """Read the header of a signed token; raises BadToken if it does not have the form of one."""
    if len(token) > LARGEST_TOKEN:
        raise BadToken(f"size: more than {LARGEST_TOKEN} characters")
    if not _COMPACT.fullmatch(token):
        raise BadToken("form: not a signed token of three parts")
    return _json_object(_from_base64(token.split(".")[0]), "header")


def _from_base64(part: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise BadToken("form: not base64") from None


def _json_object(content: bytes, what: str) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, a number without end, or nested too deep
        raise BadToken(f"form: the {what} is not JSON") from None
    if not isinstance(value, dict):
        raise BadToken(f"form: the {what} is not an object")
    return value


def _subject(claims: Mapping[str, Any], name: str) -> str:
    """Spell the subject as subjects are compared. No token can prove the gate's own name."""
    subject = subject_from(text(claims, name))
    if subject is None or subject == GATE_PRINCIPAL.subject:
        raise BadToken(f"{name}: names no subject")
    return subject


def _is_same(claimed: object, sent: str) -> bool:
    return isinstance(claimed, str) and hmac.compare_digest(claimed.encode(errors="replace"), sent.encode(errors="replace"))
