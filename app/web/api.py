"""`/api/v1`: JSON for programs and people's own scripts. Who calls: `callers.py`. Every error is a problem document."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from app.bootstrap import Process
from app.domain.access import AccountLink
from app.domain.errors import BadRequest, TooLarge, UnsupportedContent
from app.domain.event import Account
from app.pipeline.link import links_of, prove_account, unlink_account
from app.web.callers import Caller, How, caller
from app.web.protect import LARGEST_REQUEST
from app.web.sessions import current

Body = TypeVar("Body", bound=BaseModel)


class _Link(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    forge: Annotated[str, Field(min_length=1, max_length=63)]
    token: Annotated[str, Field(min_length=1, max_length=255)]


def make_blueprint(process: Process) -> Blueprint:
    """Make the routes."""
    blueprint = Blueprint("api", __name__, url_prefix="/api/v1")
    blueprint.after_request(_private)

    @blueprint.get("/me")
    def me() -> Response:
        found = caller(process)
        return jsonify(_me(process, found))

    @blueprint.get("/links")
    def links() -> Response:
        return jsonify(links=[_told(link) for link in links_of(process.services, caller(process).principal)])

    @blueprint.post("/links")
    def link() -> tuple[Response, int]:
        subject = caller(process).principal.subject
        body = read_body(_Link)
        return jsonify(_told(prove_account(process.services, subject, forge=body.forge, token=body.token))), 201

    @blueprint.delete("/links/<forge>/<account_id>")
    def unlink(forge: str, account_id: str) -> tuple[str, int]:
        unlink_account(process.services, caller(process).principal.subject, Account(forge, account_id, ""))
        return "", 204

    return blueprint


def read_body(model: type[Body]) -> Body:
    """Read the request's JSON; raises UnsupportedContent, TooLarge, or BadRequest that names what is wrong and no value."""
    if request.mimetype != "application/json":
        raise UnsupportedContent("the body must be application/json")
    try:
        return model.model_validate_json(request.get_data())
    except RequestEntityTooLarge:
        raise TooLarge(f"the request is larger than {LARGEST_REQUEST} bytes") from None
    except ValidationError as fault:
        faults = (f"{'.'.join(map(str, each['loc'])) or 'body'}: {_plain(each['type'], each['msg'])}" for each in fault.errors())
        raise BadRequest("; ".join(sorted(faults))) from None


def _plain(kind: str, message: str) -> str:
    """Say what is wrong; what the JSON parser says could quote the body."""
    return "not JSON" if kind == "json_invalid" else message


def _me(process: Process, found: Caller) -> dict[str, Any]:
    principal = found.principal
    return {
        "subject": principal.subject,
        "kind": principal.kind.value,
        "groups": sorted(principal.groups),
        "accounts": [_told(link) for link in links_of(process.services, principal)],
        "how": found.how.value,
        "session": _session(found),
        "csrf_token": current().csrf_token if found.how is How.SESSION else None,
        "token": {"issuer": found.token.issuer, "expires_at": _time(found.token.expires_at)} if found.token else None,
    }


def _session(found: Caller) -> dict[str, Any] | None:
    session = found.session
    if session is None:
        return None
    return {
        "id": session.id,
        "issuer": session.issuer,
        "signed_in_at": _time(session.signed_in_at),
        "mfa_at": _time(session.mfa_at),
        "acr": session.acr,
        "amr": list(session.amr),
        "address": session.address,
        "country": session.country,
    }


def _told(link: AccountLink) -> dict[str, Any]:
    return {"forge": link.forge, "account_id": link.account_id, "how": link.how.value, "by": link.by, "at": _time(link.at)}


def _time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
