"""`/api/v1`: JSON for programs and people's own scripts. Who calls: `people/callers.py`. Every error is a problem document."""

from __future__ import annotations

from flask import Blueprint, Response

from app.bootstrap import Process
from app.domain.access import AccountLink
from app.domain.event import Account
from app.pipeline.people.link import links_of, prove_account, unlink_account
from app.web.api import deployments, openapi, overrides, proposals
from app.web.api.answers import LinkAnswer, LinksAnswer, MeAnswer, SessionAnswer, TokenAnswer
from app.web.api.bodies import LinkBody
from app.web.api.read import answer, read_body
from app.web.people.callers import Caller, caller
from app.web.people.sessions import current


def make_blueprint(process: Process) -> Blueprint:
    """Make the routes."""
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    blueprint.after_request(_private)

    @blueprint.get("/me")
    def me() -> Response:
        found = caller(process)
        return answer(_me(process, found))

    @blueprint.get("/links")
    def links() -> Response:
        return answer(LinksAnswer(links=[_told(link) for link in links_of(process.services, caller(process).principal)]))

    @blueprint.post("/links")
    def link() -> tuple[Response, int]:
        subject = caller(process).principal.subject
        body = read_body(LinkBody)
        return answer(_told(prove_account(process.services, subject, forge=body.forge, token=body.token))), 201

    @blueprint.delete("/links/<forge>/<account_id>")
    def unlink(forge: str, account_id: str) -> tuple[str, int]:
        unlink_account(process.services, caller(process).principal.subject, Account(forge, account_id, ""))
        return "", 204

    for part in (deployments, overrides, proposals, openapi):
        part.add_routes(blueprint, process)
    return blueprint


def _me(process: Process, found: Caller) -> MeAnswer:
    principal, token = found.principal, found.token
    return MeAnswer(
        subject=principal.subject,
        kind=principal.kind,
        groups=sorted(principal.groups),
        accounts=[_told(link) for link in links_of(process.services, principal)],
        how=found.how,
        session=_session(found),
        csrf_token=current().csrf_token if found.session is not None else None,
        token=TokenAnswer(issuer=token.issuer, expires_at=token.expires_at) if token else None,
    )


def _session(found: Caller) -> SessionAnswer | None:
    session = found.session
    if session is None:
        return None
    return SessionAnswer(
        id=session.id,
        issuer=session.issuer,
        signed_in_at=session.signed_in_at,
        mfa_at=session.mfa_at,
        acr=session.acr,
        amr=list(session.amr),
        address=session.address,
        country=session.country,
    )


def _told(link: AccountLink) -> LinkAnswer:
    return LinkAnswer(forge=link.forge, account_id=link.account_id, how=link.how, by=link.by, at=link.at)


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
