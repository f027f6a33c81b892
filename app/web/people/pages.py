"""Render pages for people, with headers that keep browsers from running other code in them, framing or storing them."""

from __future__ import annotations

from flask import Blueprint, Response, g, make_response, redirect, render_template, request
from werkzeug.exceptions import HTTPException

from app.domain.errors import GateError
from app.web.wire.errors import status_of, unknown_error

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # under no-referrer browsers say `Origin: null` of the gate's own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def make_room(name: str) -> Blueprint:
    """Make a blueprint whose answers are pages, errors included."""
    blueprint = Blueprint(name, __name__)
    blueprint.register_error_handler(GateError, refusal)
    blueprint.register_error_handler(HTTPException, _http_refusal)
    blueprint.register_error_handler(Exception, _unknown)
    blueprint.after_request(_add_headers)
    return blueprint


def render(template: str, **values: object) -> Response:
    """Render a page."""
    return make_response(render_template(template, **values))


def to(place: str) -> Response:
    """Send the browser on with a GET (RFC 9110 §15.4.4)."""
    answer: Response = make_response(redirect(place, 303))
    return answer


def refusal(fault: GateError) -> Response:
    """Render a refusal as a page. It reads no session, since the database may be away."""
    status = status_of(fault)
    g.fault = fault
    return _refusal_page(status, fault.code, str(fault) if status != 500 else "")


def _http_refusal(fault: HTTPException) -> Response:
    status = fault.code or 500
    if status < 400:
        return make_response(fault.get_response(request.environ))
    return _refusal_page(status, fault.name.lower().replace(" ", "-"), fault.description or "")


def _unknown(fault: Exception) -> Response:
    unknown_error(fault)
    return _refusal_page(500, "internal", "")


def _refusal_page(status: int, code: str, reason: str) -> Response:
    answer = render("refusal.html", status=status, code=code, reason=reason)
    answer.status_code = status
    return answer


def _add_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    return response
