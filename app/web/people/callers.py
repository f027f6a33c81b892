"""The caller of a request, proven by a session's cookie, a bearer token or an assertion of Cloudflare Access; and its intent.

If several proofs come, all must name the same principal, and it must be active. Browsers send cookies and assertions with any
request, even with one that another site started. So a request that changes something must also come from the gate's own pages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from flask import g, request

from app.bootstrap import Process
from app.domain.access import why_no_principal
from app.domain.errors import BadRequest, BadToken, Forbidden
from app.domain.principal import How, Principal, PrincipalKind
from app.domain.session import Session
from app.integrations.identity.protocol import TokenValidator, VerifiedToken
from app.pipeline.ports.services import Guard
from app.settings import Settings
from app.web.people.refusals import know
from app.web.people.sessions import current

ASSERTION = "Cf-Access-Jwt-Assertion"  # developers.cloudflare.com, "Validate JWTs": rather than the cookie
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof of who calls."""

    how: How
    subject: str
    session: Session | None = None
    token: VerifiedToken | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """An active principal who calls, and all proofs of it, the strongest first."""

    principal: Principal
    proofs: tuple[Proof, ...]

    @property
    def how(self) -> How:
        """The kind of the strongest proof."""
        return self.proofs[0].how

    @property
    def session(self) -> Session | None:
        """The session, if there is one."""
        return next((proof.session for proof in self.proofs if proof.session), None)

    @property
    def token(self) -> VerifiedToken | None:
        """The token, if one was sent."""
        return next((proof.token for proof in self.proofs if proof.token), None)


def caller(process: Process) -> Caller:
    """Return the caller of this request.

    Raises BadToken (no proof, or a bad one), BadRequest (proofs that disagree), Forbidden (not an active principal),
    IssuerUnavailable and StoreUnavailable.
    """
    if "caller" not in g:
        g.caller = _caller(process.services.guard())
    return cast(Caller, g.caller)


def proofs_of(guard: Guard) -> tuple[Proof, ...]:
    """List the proofs of who calls; raises BadToken if one of them is bad."""
    proofs = (_bearer(guard), _session(guard), _access(guard))
    return tuple(proof for proof in proofs if proof is not None)


def _caller(guard: Guard) -> Caller:
    proofs = proofs_of(guard)
    if not proofs:
        raise BadToken("sign in, or send a bearer token")
    if len({proof.subject for proof in proofs}) > 1:
        kinds = " and ".join(proof.how.value for proof in proofs)
        raise BadRequest(f"the request names several callers: {kinds} disagree")
    subject = proofs[0].subject
    know(subject)
    principal = guard.identity.principal(subject)
    if principal is None:
        raise Forbidden(why_no_principal(subject))
    if principal.why_barred is not None:
        raise Forbidden(principal.why_barred)
    if principal.kind is PrincipalKind.HUMAN and any(proof.token is not None and proof.token.is_service for proof in proofs):
        raise Forbidden(
            f'the token belongs to a program, but no source says that {subject} is one: set kind = "machine" or "agent"'
        )
    return Caller(principal, proofs)


def _bearer(guard: Guard) -> Proof | None:
    header = request.headers.get("Authorization")
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or guard.tokens is None:
        raise BadToken("only bearer tokens are accepted")
    verified = guard.tokens.validate(token.strip())
    _check_scopes(guard, verified)
    return Proof(How.BEARER, verified.subject, token=verified)


def _check_scopes(guard: Guard, token: VerifiedToken) -> None:
    """Demand the scopes that the issuer's table names (RFC 6750 §3.1, insufficient_scope); raises Forbidden."""
    missing = sorted(guard.issuers[token.issuer].required_scopes - token.scopes)
    if missing:
        know(token.subject)
        raise Forbidden(
            f"the token of {token.subject} lacks the scope {' and '.join(missing)}, which [issuers.{token.issuer}] needs"
        )


def _session(guard: Guard) -> Proof | None:
    """Return the session as a proof; it counts as long as its issuer is configured with the same URL."""
    facts = current().facts
    return Proof(How.SESSION, facts.subject, session=facts) if facts and facts.counts(guard.issuer_urls) else None


def _access(guard: Guard) -> Proof | None:
    trusted = {name for name, issuer in guard.issuers.items() if issuer.is_access_proxy}
    trusted |= {guard.access_issuer} if guard.access_issuer else set()
    if ASSERTION not in request.headers or not trusted or guard.tokens is None:
        return None
    verified = _validate_once(f"assertion {sorted(trusted)}", guard.tokens)
    if verified.issuer not in trusted:
        raise BadToken(f"{ASSERTION} is from another issuer")
    return Proof(How.ACCESS, verified.subject, token=verified)


def check_access(guard: Guard, issuer: str) -> None:
    """Demand an assertion of this issuer, about any person or service; raises BadToken and IssuerUnavailable."""
    if ASSERTION not in request.headers:
        raise BadToken(f"{ASSERTION} is missing: this gate is reached through {issuer}")
    _validate_once(f"assertion {issuer}", guard.issuers[issuer].tokens)


def _validate_once(key: str, validator: TokenValidator) -> VerifiedToken:
    """Validate the assertion once a request by each validator."""
    verified: dict[str, VerifiedToken] = g.setdefault("assertions", {})
    if key not in verified:
        verified[key] = validator.validate(request.headers[ASSERTION])
    return verified[key]


def check_intent(caller: Caller, settings: Settings) -> None:
    """Make sure that the caller meant the request; raises Forbidden. No browser sends a bearer or service token by itself."""
    is_service = caller.token is not None and caller.token.is_service
    if caller.how is How.BEARER or (caller.how is How.ACCESS and is_service):
        return
    check_origin(settings)
    if caller.how is How.SESSION:
        current().check_csrf(request.headers.get(CSRF_HEADER, ""))


def check_form(settings: Settings) -> None:
    """Make sure that a form was sent from a page of this session; raises Forbidden."""
    check_origin(settings)
    current().check_csrf(request.form.get(CSRF_FIELD, ""))


def check_origin(settings: Settings) -> None:
    """Refuse requests of another site's page. Browsers send `Origin` or `Sec-Fetch-Site` with every POST; both must fit."""
    url = settings.public_url
    port = f":{url.port}" if url.port not in (None, {"http": 80, "https": 443}.get(url.scheme)) else ""
    checks: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("Origin", lambda value: value == f"{url.scheme}://{url.host}{port}"),
        ("Sec-Fetch-Site", lambda value: value == "same-origin"),
    )
    results = [fits(request.headers[name]) for name, fits in checks if name in request.headers]
    if not results or not all(results):
        raise Forbidden("the request does not come from a page of this gate")
