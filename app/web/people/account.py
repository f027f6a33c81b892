"""`/account`: who I am here, which forge accounts stand for me, and where I am signed in. Every form calls a pipeline verb."""

from __future__ import annotations

from urllib.parse import quote

from flask import Blueprint, Response, request

from app.bootstrap import Process
from app.domain.errors import BadRequest, BadToken
from app.domain.event import Account
from app.domain.principal import How
from app.domain.session import StoredSession
from app.pipeline.people.link import links_of, prove_account, unlink_account
from app.pipeline.people.sign_out import end_sessions
from app.web.people.callers import Caller, caller, proofs_of
from app.web.people.pages import make_room, render, to
from app.web.people.sessions import current


def make_blueprint(process: Process) -> Blueprint:
    """Make the page and its forms."""
    blueprint = make_room("account")

    @blueprint.get("/account")
    def account() -> Response:
        proofs = proofs_of(process.services.guard())  # one that is bad is told, not led round in circles
        if not any(proof.how is How.SESSION for proof in proofs):
            return to(f"/login?next={quote(request.path, safe='')}")
        return _page(process, caller(process))

    @blueprint.post("/account/links")
    def link() -> Response:
        subject = _signed_in(process).principal.subject
        forge, token = (request.form.get(name, "").strip() for name in ("forge", "token"))
        prove_account(process.services, subject, forge=forge, token=token)
        return to("/account")

    @blueprint.post("/account/links/remove")
    def unlink() -> Response:
        subject = _signed_in(process).principal.subject
        unlink_account(process.services, subject, Account(request.form.get("forge", ""), request.form.get("account_id", ""), ""))
        return to("/account")

    @blueprint.post("/account/sessions/end")
    def end() -> Response:
        found = _signed_in(process)
        mine = _sessions(process, found)
        session_id = request.form.get("session", "")
        if session_id not in {session.id for session in mine}:
            raise BadRequest("there is no such session of yours")
        end_sessions(process.services, found.principal.subject, [session_id], why="ended by its owner")
        if found.session is not None and found.session.id == session_id:
            current().forget()
        return to("/account")

    return blueprint


def _signed_in(process: Process) -> Caller:
    """Return the caller, who must have a session: forms are bound to it. Raises BadToken and what `caller` raises."""
    found = caller(process)
    if found.session is None:
        raise BadToken("sign in to see this page")
    return found


def _sessions(process: Process, found: Caller) -> list[StoredSession]:
    with process.services.store.reading() as unit:
        return unit.sessions.of(found.principal.subject, process.clock.now())


def _page(process: Process, found: Caller) -> Response:
    services, principal = process.services, found.principal
    return render(
        "account.html",
        principal=principal,
        groups=sorted(principal.groups),
        links=links_of(services, principal),
        forges=sorted(services.guard().forges),
        here=found.session,
        sessions=_sessions(process, found),
        csrf_token=current().csrf_token,
    )
