"""Who calls: a session's cookie, a bearer token, or the assertion that Cloudflare Access puts into a header; and proof of intent.

All that come must speak of the same principal. Who is not an active one is nobody. Cookies and assertions are sent by browsers
whoever made them ask, so a request that changes something must also show that it comes from the gate's own pages.
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
from app.web.people.sessions import current

ASSERTION = "Cf-Access-Jwt-Assertion"  # developers.cloudflare.com, "Validate JWTs": rather than the cookie
CSRF_FIELD = "csrf_token"
CSRF_HEADER = "X-CSRF-Token"


@dataclass(frozen=True, slots=True)
class Proof:
    """One thing that says who calls."""

    how: How
    subject: str
    session: Session | None = None
    token: VerifiedToken | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """An active principal who calls, and all that proves it, the strongest first."""

    principal: Principal
    proofs: tuple[Proof, ...]

    @property
    def how(self) -> How:
        """By what the caller is proven."""
        return self.proofs[0].how

    @property
    def session(self) -> Session | None:
        """The session, where there is one."""
        return next((proof.session for proof in self.proofs if proof.session), None)

    @property
    def token(self) -> VerifiedToken | None:
        """The token, where one was brought."""
        return next((proof.token for proof in self.proofs if proof.token), None)


def caller(process: Process) -> Caller:
    """Say who calls.

    Raises BadToken (nothing was brought, or it proves nothing), BadRequest (two things that disagree), Forbidden (not an active
    principal), IssuerUnavailable and StoreUnavailable.
    """
    if "caller" not in g:
        g.caller = _caller(process.services.guard())
    return cast(Caller, g.caller)


def proofs_of(guard: Guard) -> tuple[Proof, ...]:
    """List all that says who calls; raises BadToken where something does and proves nothing."""
    found = (_bearer(guard), _session(guard), _access(guard))
    return tuple(proof for proof in found if proof is not None)


def _caller(guard: Guard) -> Caller:
    proofs = proofs_of(guard)
    if not proofs:
        raise BadToken("sign in, or bring a bearer token")
    if len({proof.subject for proof in proofs}) > 1:
        raise BadRequest("the request is of several callers: " + " and ".join(proof.how.value for proof in proofs) + " disagree")
    subject = proofs[0].subject
    principal = guard.identity.principal(subject)
    if principal is None:
        raise Forbidden(why_no_principal(subject))
    if principal.why_barred is not None:
        raise Forbidden(principal.why_barred)
    if principal.kind is PrincipalKind.HUMAN and any(proof.token is not None and proof.token.is_service for proof in proofs):
        raise Forbidden(f'the token is of a program, and no source says that {subject} is one: set kind = "machine" or "agent"')
    return Caller(principal, proofs)


def _bearer(guard: Guard) -> Proof | None:
    given = request.headers.get("Authorization")
    if given is None:
        return None
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or guard.tokens is None:
        raise BadToken("only bearer tokens are taken")
    verified = guard.tokens.validate(token.strip())
    return Proof(How.BEARER, verified.subject, token=verified)


def _session(guard: Guard) -> Proof | None:
    """A session counts as long as its issuer is configured, and is the same one."""
    facts = current().facts
    return Proof(How.SESSION, facts.subject, session=facts) if facts and facts.counts(guard.issuer_urls) else None


def _access(guard: Guard) -> Proof | None:
    trusted = {name for name, issuer in guard.issuers.items() if issuer.is_access_proxy}
    trusted |= {guard.access_issuer} if guard.access_issuer else set()
    if ASSERTION not in request.headers or not trusted or guard.tokens is None:
        return None
    verified = _once(f"assertion {sorted(trusted)}", guard.tokens)
    if verified.issuer not in trusted:
        raise BadToken(f"{ASSERTION} is of another issuer")
    return Proof(How.ACCESS, verified.subject, token=verified)


def check_access(guard: Guard, issuer: str) -> None:
    """Demand an assertion of this issuer, of whomever, a service too; raises BadToken and IssuerUnavailable."""
    if ASSERTION not in request.headers:
        raise BadToken(f"{ASSERTION} is missing: this gate is reached through {issuer}")
    _once(f"assertion {issuer}", guard.issuers[issuer].tokens)


def _once(key: str, validator: TokenValidator) -> VerifiedToken:
    """Check the assertion once a request by each validator."""
    checked: dict[str, VerifiedToken] = g.setdefault("assertions", {})
    if key not in checked:
        checked[key] = validator.validate(request.headers[ASSERTION])
    return checked[key]


def check_intent(caller: Caller, settings: Settings) -> None:
    """Make sure that whoever calls meant it; raises Forbidden. A bearer token, or a service's, is not sent by itself."""
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
    """Refuse what another site's page sends. Browsers send `Origin` or `Sec-Fetch-Site` with every POST; both must fit."""
    url = settings.public_url
    port = f":{url.port}" if url.port not in (None, {"http": 80, "https": 443}.get(url.scheme)) else ""
    checks: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("Origin", lambda given: given == f"{url.scheme}://{url.host}{port}"),
        ("Sec-Fetch-Site", lambda given: given == "same-origin"),
    )
    told = [fits(request.headers[name]) for name, fits in checks if name in request.headers]
    if not told or not all(told):
        raise Forbidden("the request does not come from a page of this gate")
