"""`/api/v1`: JSON for programs and people's own scripts. Every error is a problem document. Callers: `people/callers.py`."""

from __future__ import annotations

from flask import Blueprint, Response

from app.answers.people import MeAnswer, link_answer, links_answer, me_answer
from app.bootstrap import Process
from app.domain.event import Account
from app.pipeline.people.link import links_of, prove_account, unlink_account
from app.web.api import deployments, openapi, overrides, proposals
from app.web.api.bodies import LinkBody
from app.web.api.read import answer, read_body
from app.web.people.callers import caller
from app.web.people.in_person import person_here
from app.web.people.sessions import current


def make_blueprint(process: Process) -> Blueprint:
    """Make the routes."""
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    blueprint.after_request(_keep_private)

    @blueprint.get("/me")
    def me() -> Response:
        return answer(_me(process))

    @blueprint.get("/links")
    def links() -> Response:
        return answer(links_answer(links_of(process.services, caller(process).principal)))

    @blueprint.post("/links")
    def link() -> tuple[Response, int]:
        person, body = person_here(process), read_body(LinkBody)
        return answer(link_answer(prove_account(process.services, person.session, forge=body.forge, token=body.token))), 201

    @blueprint.delete("/links/<forge>/<account_id>")
    def unlink(forge: str, account_id: str) -> tuple[str, int]:
        unlink_account(process.services, person_here(process).session, Account(forge, account_id, ""))
        return "", 204

    for part in (deployments, overrides, proposals, openapi):
        part.add_routes(blueprint, process)
    return blueprint


def _me(process: Process) -> MeAnswer:
    who = caller(process)
    return me_answer(
        who.principal,
        links_of(process.services, who.principal),
        how=who.how,
        session=who.session,
        csrf_token=current().csrf_token if who.session is not None else None,
        token=who.token,
    )


def _keep_private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
