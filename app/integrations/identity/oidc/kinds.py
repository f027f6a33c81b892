"""The form of each kind of issuer's tokens: one entry a product, read by `issuers.py` and `validator.py`. Pure.

An empty string among `types` stands for a token without `typ`. Audience and issuer are always compared exactly, so an entry
lists only the differences. A service is recognised here, and never passes as a user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Claims = Mapping[str, Any]
Kind = Literal["oidc", "okta", "cloudflare_access", "cognito", "entra", "aws_federation"]
Algorithm = Literal["RS256", "ES256", "ES384", "PS256", "Ed25519", "EdDSA"]

# EdDSA (RFC 8037) says Ed25519 or Ed448 by the key alone; RFC 9864 names each. No Ed448 key is ever held (`jwks.py`).
SAME_AS: Mapping[str, str] = {"EdDSA": "Ed25519"}
# The keys that fit an algorithm: the type, and the curve if that is part of it (RFC 7518 §3.1, RFC 8037 §3.1).
KEY_OF: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "PS256": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "Ed25519": ("OKP", "Ed25519"),
}
# Registered algorithms that a refusal may name (iana.org/assignments/jose); anything else in a header is not repeated.
NAMEABLE = frozenset(
    {"none", "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
    | {"ES256K", "EdDSA", "Ed25519", "Ed448"}
)

_JWT = frozenset({"jwt"})
_JWT_OR_NONE = frozenset({"jwt", ""})
_ACCESS_TOKEN = frozenset({"at+jwt", "application/at+jwt"})  # RFC 9068 §2.1 and §4
_KEYCLOAK_SERVICE = "service-account-"
_CLOUDFLARE_SERVICE = ".access"


def _audience(claims: Claims) -> object:
    return claims.get("aud")


def _cognito_audience(claims: Claims) -> object:
    """Return the audience. An access token of Cognito has no `aud`; its `client_id` names the client that it was issued to."""
    return claims.get("client_id") if claims.get("token_use") == "access" else claims.get("aud")


def _oidc_service(claims: Claims) -> bool:
    """Recognise a client by its `sub` (RFC 9068 §2.2), in Auth0's tokens by `gty`, in Keycloak's by the account's name."""
    client = claims.get("client_id") or claims.get("azp")
    return (
        (bool(client) and claims.get("sub") == client)
        or claims.get("gty") == "client-credentials"
        or str(claims.get("preferred_username", "")).startswith(_KEYCLOAK_SERVICE)
    )


def _okta_service(claims: Claims) -> bool:
    """Recognise a client's access token: it has `cid` only. A person's has `uid` too. ID tokens have neither."""
    return "cid" in claims and "uid" not in claims


def _cloudflare_service(claims: Claims) -> bool:
    """Recognise a service token by its empty `sub`. The rules for services judge it, and it is not a user."""
    return claims.get("sub") == ""


def _cognito_service(claims: Claims) -> bool:
    return claims.get("token_use") == "access" and "username" not in claims


def _entra_service(claims: Claims) -> bool:
    """Recognise an app-only token: by `idtyp`, or by a client without `scp`, the scopes that a person delegates.

    ID tokens do not name a client.
    """
    return claims.get("idtyp") == "app" or (("azp" in claims or "appid" in claims) and "scp" not in claims)


def _always(claims: Claims) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class KindRules:
    """The rules for one kind of issuer.

    `required` maps a claim to the values it may have. `jwks_path` follows the issuer; None: ask its discovery document.
    A service's subject must end with `service_suffix`. `vouches_for_email`: the issuer proves addresses itself and does not
    send `email_verified`.
    """

    algorithms: tuple[Algorithm, ...]
    types: frozenset[str]
    is_service: Callable[[Claims], bool]
    jwks_path: str | None = None
    subject_claim: str = "sub"
    login_subject_claim: str | None = None
    service_subject_claim: str = "sub"
    service_suffix: str = ""
    client_claims: tuple[str, ...] = ()
    groups_claim: str | None = None
    audience_of: Callable[[Claims], object] = _audience
    required: Mapping[str, frozenset[str]] = field(default_factory=dict)
    vouches_for_email: bool = False


KINDS: Mapping[Kind, KindRules] = {
    # ID tokens have no typ, or JWT. Access tokens have at+jwt or, before RFC 9068, JWT. The audience, which is pinned, tells them
    # apart.
    "oidc": KindRules(
        algorithms=("RS256", "ES256"),
        types=_JWT_OR_NONE | _ACCESS_TOKEN,
        is_service=_oidc_service,
        client_claims=("client_id", "azp"),
        groups_claim="groups",
    ),
    # Okta's custom authorization servers send no typ. The org server's own access tokens (application/okta-internal-at+jwt) are
    # not for others to check. `sub` is the login in an access token, and an opaque id in an ID token.
    # developer.okta.com/docs/api/openapi/okta-oauth/guides/overview
    "okta": KindRules(
        algorithms=("RS256",),
        types=_JWT_OR_NONE,
        is_service=_okta_service,
        login_subject_claim="preferred_username",
        client_claims=("cid",),
        groups_claim="groups",
    ),
    # developers.cloudflare.com/cloudflare-one/identity/authorization-cookie/application-token: RS256, typ JWT. type `org` is the
    # team-wide session, which is valid for no application. For a service, common_name holds the client id of its token
    # (`….access`). The name of a client certificate stands there too, but does not end so.
    "cloudflare_access": KindRules(
        algorithms=("RS256",),
        types=_JWT,
        is_service=_cloudflare_service,
        jwks_path="/cdn-cgi/access/certs",
        subject_claim="email",
        service_subject_claim="common_name",
        service_suffix=_CLOUDFLARE_SERVICE,
        client_claims=("common_name",),
        required={"type": frozenset({"app"})},
        vouches_for_email=True,
    ),
    # docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html: no typ.
    "cognito": KindRules(
        algorithms=("RS256",),
        types=_JWT_OR_NONE,
        is_service=_cognito_service,
        jwks_path="/.well-known/jwks.json",
        client_claims=("client_id",),
        groups_claim="cognito:groups",
        audience_of=_cognito_audience,
        required={"token_use": frozenset({"id", "access"})},
    ),
    # learn.microsoft.com/entra/identity-platform/access-token-claims-reference: typ is always JWT. `oid` is the same for a person
    # in all applications. `email`, `upn` and `preferred_username` can be changed and must not decide.
    "entra": KindRules(
        algorithms=("RS256",),
        types=_JWT,
        is_service=_entra_service,
        subject_claim="oid",
        service_subject_claim="oid",
        client_claims=("azp", "appid"),
        groups_claim="groups",
    ),
    # docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_outbound.html: `sub` is the ARN of a role or user. People sign
    # in with their identity provider, so a token of this kind is a machine's.
    "aws_federation": KindRules(
        algorithms=("RS256", "ES384"),
        types=_JWT_OR_NONE,
        is_service=_always,
        jwks_path="/.well-known/jwks.json",
    ),
}
