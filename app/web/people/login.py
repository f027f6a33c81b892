"""`/login`, `/logout`: people sign in with a configured issuer (OpenID Connect, code and PKCE), and out again."""

from __future__ import annotations

import re
import time
from urllib.parse import quote, unquote

import structlog
from flask import Blueprint, Response, make_response, request

from app.bootstrap import Process
from app.domain.errors import GateError, RateLimited
from app.domain.rate import Buckets
from app.domain.session import StoredSession
from app.integrations.identity.protocol import VerifiedToken
from app.pipeline.people.sign_in import SignIn, sign_in
from app.pipeline.people.sign_out import end_sessions
from app.web.people.oauth import LoginClients
from app.web.people.pages import make_room, refusal, render, to
from app.web.people.sessions import current
from app.web.wire.origin import origin_of
from app.web.wire.request import sender_of

HOME = "/account"
RATE, BURST = 0.5, 30.0  # sign-ins that one browser may begin: a second in the long run, and at once
ADDRESS_RATE, ADDRESS_BURST = 5.0, 300.0  # the same for browsers without a session at one address, which many may share
_LONGEST_PATH = 512
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@%?-][A-Za-z0-9._~!$&'()*+,;=:@%?/-]*)?")

_log = structlog.get_logger("tidegate.login")


def safe_path(path: str) -> str:
    """Return a path of this site to go on to; `HOME` if a browser could read the path in another way."""
    plain = unquote(path)
    is_odd = plain.startswith("//") or "\\" in plain or not plain.isprintable()
    return path if len(path) <= _LONGEST_PATH and _PATH.fullmatch(path) and not is_odd else HOME


def make_blueprint(process: Process) -> Blueprint:
    """Make the routes of signing in and out."""
    blueprint = make_room("login")
    clients = LoginClients(process)
    by_session, by_address = Buckets(RATE, BURST), Buckets(ADDRESS_RATE, ADDRESS_BURST)

    @blueprint.get("/login")
    def choose() -> Response:
        next_path, names = safe_path(request.args.get("next", "")), clients.names()
        if len(names) == 1 and "stay" not in request.args:
            return to(f"/login/{names[0]}?next={quote(next_path, safe='')}")
        return render("login.html", issuers=names, next=next_path, is_signed_out="signed-out" in request.args)

    @blueprint.get("/login/<issuer>")
    def start(issuer: str) -> Response:
        place = origin_of(request.remote_addr or "", request.headers, process.settings)
        session_id, now = current().id, time.monotonic()
        if wait := by_session.take(session_id, now) if session_id else by_address.take(sender_of(place.address), now):
            place_name = "in this browser" if session_id else "from this address"
            raise RateLimited(f"too many sign-ins were begun {place_name}", retry_after=wait)
        return make_response(clients.of(issuer).start(callback_of(process, issuer), safe_path(request.args.get("next", ""))))

    @blueprint.get("/login/<issuer>/callback")
    def finish(issuer: str) -> Response:
        client = clients.of(issuer)
        token, next_path = client.finish()
        try:
            _begin(process, token, client.issuer)
        except GateError as fault:
            _log.warning("sign-in refused", issuer=issuer, outcome=fault.code)
            return refusal(fault)
        return to(safe_path(next_path))

    @blueprint.post("/logout")
    def logout() -> Response:
        session = current()
        if session.facts is not None:
            end_sessions(process.services, session.facts.subject, [session.facts.id], why="signed out")
        session.forget()
        return to("/login?stay&signed-out")

    return blueprint


def callback_of(process: Process, issuer: str) -> str:
    """Return the URL to which an issuer sends browsers back; it is made from the public URL, not from a request's Host."""
    return f"{str(process.settings.public_url).rstrip('/')}/login/{issuer}/callback"


def _begin(process: Process, token: VerifiedToken, issuer_url: str) -> None:
    session = current()
    place = origin_of(request.remote_addr or "", request.headers, process.settings)

    def begin(digest: str, former: str | None) -> StoredSession:
        act = SignIn(
            token=token,
            issuer_url=issuer_url,
            address=place.address,
            country=place.country,
            digest=digest,
            idle=session.idle,
            longest=session.longest,
            former=former,
        )
        return sign_in(process.services, act)

    session.rotate(begin)
