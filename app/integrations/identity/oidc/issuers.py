"""The issuers whose tokens the gate accepts: one `[issuers.NAME]` table of tidegate.toml, and the profile that it yields.

A profile is complete: `validator.py` needs nothing else to check a token. The differences between products: `kinds.py`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from app.integrations.identity.oidc.kinds import KINDS, SAME_AS, Algorithm, Kind, KindRules

LONGEST_URL = 2048
DAY = 86_400.0
_HOST = r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*"
_LOOPBACK = r"(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])"
_REST = r"(?::\d{1,5})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
# The pattern spells the whole URL out, so that the HTTP client cannot read another host in it than we do.
_URL = re.compile(rf"(?:https://{_HOST}|http://{_LOOPBACK}){_REST}(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")


def is_fetchable(url: str, *, loopback: bool = True) -> bool:
    """Tell whether keys may be fetched from here: by https from anywhere, by plain http only from this machine."""
    return len(url) <= LONGEST_URL and bool(_URL.fullmatch(url)) and (loopback or url.startswith("https://"))


def _url(value: str) -> str:
    if not is_fetchable(value):
        raise ValueError("must be an https URL without credentials (http only for a loopback host)")
    return value


def _issuer(value: str) -> str:
    if "?" in _url(value):
        raise ValueError("an issuer has no query (OpenID Connect Discovery 1.0 §3)")
    return value


def _scopes(value: list[str]) -> list[str]:
    if "openid" not in value:
        raise ValueError('must hold "openid"')
    return value


_Text = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^\S+$")]


class IssuerOptions(BaseModel):
    """One `[issuers.NAME]` table. `client_id` and the keys after it serve the browser login."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    kind: Kind
    issuer: Annotated[str, AfterValidator(_issuer)]
    audience: _Text
    jwks_url: Annotated[str, AfterValidator(_url)] | None = None
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] | None = None
    subject_claim: _Text | None = None
    groups_claim: _Text | None = None
    trusts_groups: bool = False
    max_token_age: float = Field(DAY, gt=0, le=31 * DAY)
    leeway: float = Field(30.0, ge=0, le=120)
    client_id: _Text | None = None
    client_secret: Annotated[str, Field(pattern=r"^(env|file):.+$")] | None = None
    scopes: Annotated[list[_Text], AfterValidator(_scopes)] = ["openid", "profile", "email"]
    extra_audiences: list[_Text] = []

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.trusts_groups and not (self.groups_claim or KINDS[self.kind].groups_claim):
            raise ValueError(f"tokens of {self.kind} carry no groups: name a groups_claim, or do not trust them")
        if self.client_secret and not self.client_id:
            raise ValueError("a client_secret needs a client_id")
        if self.extra_audiences and not self.client_id:
            raise ValueError("extra_audiences are those of ID tokens at sign-in, so they need a client_id")
        return self


@dataclass(frozen=True, slots=True)
class IssuerProfile:
    """All that is needed to check a token of one issuer. `groups_claim` is None if its groups are not trusted.

    `leeway` and `max_age` are seconds; `max_age` counts from `iat`. `extra_audiences` may stand beside `audience` in an ID token
    whose `azp` is `audience`.
    """

    name: str
    kind: Kind
    issuer: str
    audience: str
    jwks_url: str | None
    algorithms: frozenset[str]
    subject_claim: str
    groups_claim: str | None
    leeway: float
    max_age: float
    rules: KindRules
    extra_audiences: frozenset[str] = frozenset()


def profile_of(name: str, options: IssuerOptions) -> IssuerProfile:
    """Make the complete profile of the issuer that is configured as `name`."""
    rules = KINDS[options.kind]
    default_url = options.issuer.rstrip("/") + rules.jwks_path if rules.jwks_path else None
    return IssuerProfile(
        name=name,
        kind=options.kind,
        issuer=options.issuer,
        audience=options.audience,
        jwks_url=options.jwks_url or default_url,
        algorithms=frozenset(SAME_AS.get(name, name) for name in options.algorithms or rules.algorithms),
        subject_claim=options.subject_claim or rules.subject_claim,
        groups_claim=(options.groups_claim or rules.groups_claim) if options.trusts_groups else None,
        leeway=options.leeway,
        max_age=options.max_token_age,
        rules=rules,
    )


def login_profile_of(name: str, options: IssuerOptions) -> IssuerProfile | None:
    """Make the profile of the ID tokens that a login brings; None if no client is configured.

    Zitadel names all clients of a project and the project in each ID token; `extra_audiences` are those others.
    OpenID Connect Core 1.0 §2: the audience of an ID token is the `client_id`, and its nonce tells it from any other token.
    """
    if options.client_id is None:
        return None
    profile = profile_of(name, options)
    return replace(
        profile,
        audience=options.client_id,
        extra_audiences=frozenset(options.extra_audiences),
        subject_claim=options.subject_claim or profile.rules.login_subject_claim or profile.subject_claim,
        rules=replace(profile.rules, types=profile.rules.types & {"jwt", ""}),
    )
