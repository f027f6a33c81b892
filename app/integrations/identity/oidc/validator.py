"""Check tokens of the configured issuers: return the principal that a token names, or say in one line which check failed.

Nothing in a token is believed before its signature holds, with two exceptions: `kid` chooses among the issuer's own keys, and
`iss` among the configured profiles. RFC 8725 lists the attacks that this prevents. Error texts never hold a part of a token.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import Key

from app.domain.access import subject_from
from app.domain.clock import Clock
from app.domain.errors import BadConfiguration, BadToken, IssuerUnavailable
from app.domain.principal import GATE_PRINCIPAL
from app.integrations.http import HttpClient
from app.integrations.identity.oidc.claims import groups, instant, methods, needed_instant, scopes, text
from app.integrations.identity.oidc.issuers import IssuerProfile
from app.integrations.identity.oidc.jwks import IssuerKeys
from app.integrations.identity.protocol import VerifiedToken

LARGEST_TOKEN = 16 * 1024
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")  # RFC 7515 §7.1: three parts, no padding
_COUNTRY = re.compile(r"[A-Z]{2}")


class Validator:
    """Checks tokens against one profile."""

    def __init__(self, profile: IssuerProfile, keys: IssuerKeys, clock: Clock) -> None:
        self.profile = profile
        self._keys = keys
        self._clock = clock
        self._leeway = timedelta(seconds=profile.leeway)
        self._registry = jws.JWSRegistry(algorithms=sorted(profile.algorithms), strict_check_header=False)
        self._registry.max_header_length = self._registry.max_signature_length = LARGEST_TOKEN

    def validate(self, token: str, *, nonce: str | None = None) -> VerifiedToken:
        """Return what the token proves; raises BadToken or IssuerUnavailable.

        If the login sent a `nonce`, the token must hold the same one (OpenID Connect Core 1.0 §3.1.3.7, 11).
        """
        key = self._keys.key(self._kid(_header(token)))
        if key is None:
            raise BadToken("kid: the issuer has no such key")
        claims = self._claims(token, key)
        self._check_issued(claims, nonce)
        self._check_times(claims, self._clock.now())
        return self._verified_token(claims)

    def warm(self) -> None:
        """Fetch the issuer's keys before the first token comes; raises IssuerUnavailable."""
        self._keys.warm()

    def _kid(self, unverified_header: Mapping[str, Any]) -> str:
        """Check the header, and return the id of the key that it names.

        Any `crit` is refused, since no extension is understood here (RFC 7515 §4.1.11).
        """
        alg, typ, kid = unverified_header.get("alg"), unverified_header.get("typ", ""), unverified_header.get("kid")
        if not isinstance(alg, str) or alg not in self.profile.algorithms:
            raise BadToken(f"alg: not {' or '.join(sorted(self.profile.algorithms))}")
        if not isinstance(typ, str) or typ.lower() not in self.profile.rules.types:
            raise BadToken("typ: not a kind of token that this issuer's profile accepts")
        if "crit" in unverified_header:
            raise BadToken("crit: asks for an extension that is not understood")
        if not isinstance(kid, str) or not kid:
            raise BadToken("kid: names no key")
        return kid

    def _claims(self, token: str, key: Key) -> dict[str, Any]:
        try:
            signed = jws.deserialize_compact(token, key, registry=self._registry)
        except (JoseError, ValueError):
            raise BadToken("signature: does not verify with the issuer's key") from None
        return _json_object(signed.payload or b"", "payload")

    def _check_issued(self, claims: Mapping[str, Any], nonce: str | None) -> None:
        """Check the issuer, the audience and the required claims. The audience must be exactly one: ours."""
        audience = self.profile.rules.audience_of(claims)
        if claims.get("iss") != self.profile.issuer:
            raise BadToken("iss: another issuer")
        if audience != self.profile.audience and audience != [self.profile.audience]:
            raise BadToken("aud: not issued for this gate, or not for it alone")
        for name, allowed in self.profile.rules.required.items():
            if not isinstance(claims.get(name), str) or claims[name] not in allowed:
                raise BadToken(f"{name}: not {' or '.join(sorted(allowed))}")
        if nonce is not None and not _is_same(claims.get("nonce"), nonce):
            raise BadToken("nonce: not the one that was sent")

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
            email=text(claims, "email") if self._knows_email(claims) else "",
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
        if self.profile.subject_claim == "email" and not self._knows_email(claims):
            raise BadToken("email: the issuer has not verified it")
        return _subject(claims, self.profile.subject_claim)

    def _service_subject(self, claims: Mapping[str, Any]) -> str:
        name, suffix = self.profile.rules.service_subject_claim, self.profile.rules.service_suffix
        if not text(claims, name).endswith(suffix):
            raise BadToken(f"{name}: names no service")
        return _subject(claims, name)

    def _knows_email(self, claims: Mapping[str, Any]) -> bool:
        return self.profile.rules.vouches_for_email or claims.get("email_verified") is True


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
