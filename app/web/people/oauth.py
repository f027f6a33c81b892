"""Sign-in with an issuer by Authlib's Flask client: code and PKCE (RFC 7636), state, nonce, and `iss` in the answer (RFC 9207).

Authlib keeps the state and asks the issuer. The gate's own validator checks the ID token, and every request goes out through
the gate's own HTTP client. Used by `login.py`.
"""

from __future__ import annotations

import hmac
import logging
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import FlaskIntegration, FlaskOAuth2App
from authlib.integrations.requests_client import OAuth2Session
from flask import redirect, request
from requests import PreparedRequest, RequestException
from requests import Response as Answer
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from werkzeug.wrappers import Response

from app.bootstrap import Process
from app.domain.clock import Clock
from app.domain.errors import BadRequest, BadToken, IssuerUnavailable, NotFound, SecretUnavailable
from app.guard.secrets import secret
from app.integrations.http import HttpClient, NotSent, Unanswered
from app.integrations.identity.oidc.issuers import is_fetchable
from app.integrations.identity.oidc.jwks import WAIT_SECONDS, Fetches
from app.integrations.identity.protocol import LoginSettings, LoginValidator, VerifiedToken
from app.web.people.sessions import current

CONNECT_SECONDS = 3.0
READ_SECONDS = 5.0
KEEP = timedelta(minutes=10)  # how long a client, and with it the issuer's description, is kept
MOST_BEGUN = 4  # sign-ins that a browser may have begun and not finished
_STATE = "_state_"  # Authlib's prefix for its entries in the session
_SENT_HEADERS = frozenset({"accept", "authorization", "content-type", "user-agent"})

_log = logging.getLogger(__name__)
logging.getLogger("authlib").setLevel(logging.WARNING)  # at DEBUG it logs code verifiers


class _Adapter(BaseAdapter):  # type: ignore[misc] # requests is untyped
    """Sends Authlib's requests through the one outbound HTTP client: no redirects, no proxies, bounded in size and time."""

    def __init__(self) -> None:
        super().__init__()
        self._client = HttpClient(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)

    def send(self, request: PreparedRequest, **_: object) -> Answer:
        """Send one request; raises RequestException."""
        headers = {name.lower(): value for name, value in request.headers.items() if name.lower() in _SENT_HEADERS}
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else bytes(body)
        try:
            if request.method == "GET":
                received = self._client.get(request.url, headers=headers)
            else:
                received = self._client.post(request.url, content=content, headers=headers)
        except (NotSent, Unanswered) as fault:
            raise RequestException(str(fault)) from None
        if not received.is_whole or 300 <= received.status < 400:
            raise RequestException(f"HTTP {received.status}, redirected or too large")
        answer = Answer()
        answer.status_code, answer.url, answer.request = received.status, request.url, request
        answer.headers, answer._content = CaseInsensitiveDict(received.headers), received.body
        return answer

    def close(self) -> None:
        """Do nothing: no connection is kept open."""


class _Session(OAuth2Session):  # type: ignore[misc] # Authlib is untyped
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.trust_env = False
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter())


class LoginClient(FlaskOAuth2App):  # type: ignore[misc] # Authlib is untyped
    """The gate as a client of one issuer."""

    client_cls = _Session

    def __init__(self, name: str, options: LoginSettings, *, validator: LoginValidator, clock: Clock) -> None:
        client_secret = secret(options.client_secret).reveal().decode().strip() if options.client_secret else None
        super().__init__(
            FlaskIntegration(name),
            name=name,
            client_id=options.client_id,
            client_secret=client_secret,
            server_metadata_url=f"{options.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": " ".join(options.scopes), "code_challenge_method": "S256"},
        )
        self.issuer, self._validator = options.issuer, validator
        self._fetches = Fetches(clock)
        self._description: dict[str, Any] | None = None
        self._fault = "cannot be asked now"

    def load_server_metadata(self) -> dict[str, Any]:
        """Return the issuer's description; raises IssuerUnavailable. One thread asks; after a fault, none does for a while."""
        if self._description is None:
            self._fetches.run(self._fetch_description, wait=WAIT_SECONDS)
        if self._description is None:
            raise IssuerUnavailable(f"issuer {self.name} {self._fault}")
        return self._description

    def _fetch_description(self) -> None:
        """Ask the issuer for its description, in which it must name itself (OpenID Connect Discovery 1.0 §4.3)."""
        if self._description is not None:
            return  # another thread fetched it while this one waited
        try:
            metadata = cast(dict[str, Any], super().load_server_metadata())
        except (RequestException, ValueError, TypeError, AttributeError):
            self._fault = "cannot be asked now"
            return
        endpoints = [metadata.get(name) for name in ("authorization_endpoint", "token_endpoint")]
        is_local = self.issuer.startswith("http://")
        if metadata.get("issuer") != self.issuer or not all(
            isinstance(url, str) and is_fetchable(url, loopback=is_local) for url in endpoints
        ):
            self.server_metadata.clear()
            self._fault = "has an OpenID configuration that cannot be used"
            return
        self._description = metadata

    def _get_oauth_client(self, **metadata: Any) -> Any:
        """Use only the fields that are needed: Authlib would hand all of the description to the session as options."""
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        chosen = "none" if self.client_secret is None else "client_secret_basic"
        if self.client_secret is not None and "client_secret_basic" not in methods and "client_secret_post" in methods:
            chosen = "client_secret_post"
        return super()._get_oauth_client(token_endpoint=metadata["token_endpoint"], token_endpoint_auth_method=chosen)

    def parse_id_token(self, token: Mapping[str, Any], nonce: str, **_: object) -> VerifiedToken:
        """Check the ID token by the gate's own validator; raises BadToken or IssuerUnavailable."""
        id_token = token["id_token"]
        if not isinstance(id_token, str) or not nonce:
            raise BadToken("the issuer's answer does not hold an ID token")
        return self._validator.validate(id_token, nonce=nonce)

    def start(self, callback: str, next_path: str) -> Response:
        """Send the browser to the issuer, and keep in its session what the answer must fit."""
        # With `max_age` an issuer must say in `auth_time` when the person signed in there (OpenID Connect Core 1.0 §3.1.2.1).
        authorization = self.create_authorization_url(callback, max_age=str(math.ceil(current().longest.total_seconds())))
        _forget_oldest()
        state = {name: authorization[name] for name in ("state", "nonce", "code_verifier")}
        self.save_authorize_data(redirect_uri=callback, next=next_path, **state)
        return redirect(authorization["url"])

    def finish(self) -> tuple[VerifiedToken, str]:
        """Return what the issuer's answer proves, and where to go next; raises BadRequest, BadToken, IssuerUnavailable."""
        state = request.args.get("state", "")
        begun = self.framework.get_state_data(current(), state)
        # Taken out of the database before the issuer is asked: an answer that comes many times at once is asked about once.
        if not begun or not current().take(f"{_STATE}{self.name}_{state}"):
            raise BadRequest("this sign-in was not begun in this browser, was finished already, or took too long")
        try:
            self._check_iss()
            answer = self.authorize_access_token()
        except AuthlibBaseError as fault:
            _log.warning("sign-in with %s was refused: %s", self.name, type(fault).__name__)
            raise BadRequest(f"issuer {self.name} refused the sign-in") from None
        except (RequestException, ValueError, TypeError, KeyError, AttributeError) as fault:
            _log.warning("sign-in with %s failed: %s", self.name, type(fault).__name__)
            raise IssuerUnavailable(f"issuer {self.name} gave no usable answer") from None
        finally:
            self.framework.clear_state_data(current(), state)
        if not isinstance(answer.get("userinfo"), VerifiedToken):
            raise BadToken("the issuer's answer does not hold an ID token")
        return answer["userinfo"], str(begun["next"])

    def _check_iss(self) -> None:
        """Check which issuer the answer comes from (RFC 9207 §2.4); Authlib does not."""
        issuer = request.args.get("iss")
        is_promised = self.load_server_metadata().get("authorization_response_iss_parameter_supported") is True
        if issuer is None and not is_promised:
            return
        if issuer is None or not hmac.compare_digest(issuer.encode(), self.issuer.encode()):
            raise BadRequest("the answer comes from another issuer than the one that was asked")


def _forget_oldest() -> None:
    session = current()
    begun = sorted((name for name in session if name.startswith(_STATE)), key=lambda name: float(session[name]["exp"]))
    for name in begun[: -(MOST_BEGUN - 1)]:
        session.pop(name)


def _make_client(name: str, options: LoginSettings, *, validator: LoginValidator, clock: Clock) -> LoginClient:
    """Make a client; raises IssuerUnavailable. A fault of its secret goes to the log, not to people who want to sign in."""
    try:
        return LoginClient(name, options, validator=validator, clock=clock)
    except SecretUnavailable as fault:
        _log.error("sign-in with %s is not possible: %s", name, fault)
        raise IssuerUnavailable(f"issuer {name} cannot be used now") from None


@dataclass(frozen=True, slots=True)
class _CachedClient:
    digest: str
    until: datetime
    client: LoginClient


class LoginClients:
    """The clients of one process, made anew with each version of the configuration and every few minutes."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._cache: dict[str, _CachedClient] = {}

    def names(self) -> list[str]:
        """List the issuers with which people can sign in."""
        issuers = self._process.services.guard().issuers
        return sorted(name for name, issuer in issuers.items() if issuer.logins is not None)

    def of(self, name: str) -> LoginClient:
        """Return the client of an issuer; raises NotFound and IssuerUnavailable."""
        guard, now = self._process.services.guard(), self._process.clock.now()
        binding = guard.issuers.get(name)
        if binding is None or binding.logins is None:
            raise NotFound("there is no such issuer to sign in with")
        with self._lock:
            cached = self._cache.get(name)
            if cached is None or cached.digest != guard.digest or not now < cached.until:
                client = _make_client(name, binding.client, validator=binding.logins, clock=self._process.clock)
                cached = self._cache[name] = _CachedClient(guard.digest, now + KEEP, client)
            return cached.client
