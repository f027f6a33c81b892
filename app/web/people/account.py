"""`/account`: the signed-in person, linked forge accounts, and sessions. Every form calls one function of the pipeline."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, Response, request

from app.bootstrap import Process
from app.domain.errors import BadRequest, BadToken
from app.domain.event import Account
from app.domain.principal import How
from app.domain.session import Session, StoredSession
from app.pipeline.people.link import links_of, prove_account, unlink_account
from app.pipeline.people.sign_out import end_sessions
from app.web.people.callers import Caller, caller, proofs_of
from app.web.people.in_person import viewer
from app.web.people.pages import make_room, render, to
from app.web.people.sessions import current


def make_blueprint(process: Process) -> Blueprint:
    """Make the page and its forms."""
    blueprint = make_room("account")

    @blueprint.get("/account")
    def account() -> Response:
        proofs = proofs_of(process.services.guard())  # a bad proof is refused: signing in again would lead in circles
        if not any(proof.how is How.SESSION for proof in proofs):
            return to(f"/login?next={quote(request.path, safe='')}")
        return _page(process, caller(process))

    @blueprint.post("/account/links")
    def link() -> Response:
        session = _session_here(process)
        forge, token = (request.form.get(name, "").strip() for name in ("forge", "token"))
        prove_account(process.services, session, forge=forge, token=token)
        return to("/account")

    @blueprint.post("/account/links/remove")
    def unlink() -> Response:
        account = Account(request.form.get("forge", ""), request.form.get("account_id", ""), "")
        unlink_account(process.services, _session_here(process), account)
        return to("/account")

    @blueprint.post("/account/sessions/end")
    def end() -> Response:
        who = _caller_with_session(process)
        mine = _sessions(process, who)
        session_id = request.form.get("session", "")
        if session_id not in {session.id for session in mine}:
            raise BadRequest("you have no such session")
        end_sessions(process.services, who.principal.subject, [session_id], why="ended by its owner", revoke=True)
        if who.session is not None and who.session.id == session_id:
            current().forget()
        return to("/account")

    return blueprint


def _caller_with_session(process: Process) -> Caller:
    """Return the caller, who must have a session, since forms are bound to it. Raises BadToken, and the errors of `caller`."""
    who = caller(process)
    if who.session is None:
        raise BadToken("sign in to see this page")
    return who


def _session_here(process: Process) -> Session:
    """Return the session of the person who sends a form about accounts; raises Forbidden and the errors of `caller`."""
    return viewer(process, _caller_with_session(process)).session


def _sessions(process: Process, who: Caller) -> list[StoredSession]:
    with process.services.store.reading() as unit:
        return unit.sessions.of(who.principal.subject, process.clock.now())


def _page(process: Process, who: Caller) -> Response:
    services, principal = process.services, who.principal
    return render(
        "account.html",
        principal=principal,
        groups=sorted(principal.groups),
        links=links_of(services, principal),
        forges=sorted(services.guard().forges),
        here=who.session,
        sessions=_sessions(process, who),
        csrf_token=current().csrf_token,
    )
