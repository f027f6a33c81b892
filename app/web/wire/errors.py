"""The only map from the gate's errors to HTTP: problem documents (RFC 9457). An unknown error is a 500 without detail."""

from __future__ import annotations

import json
import logging
import math

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from app.domain.errors import GateError, RateLimited

STATUS: dict[str, int] = {
    "bad-signature": 401,
    "wrong-secret": 403,
    "bad-token": 401,
    "bad-request": 400,
    "forbidden": 403,
    "bad-delivery": 400,
    "unsupported-content": 415,
    "too-large": 413,
    "too-slow": 408,
    "overloaded": 503,
    "unknown-forge": 404,
    "rate-limited": 429,
    "not-found": 404,
    "not-allowed": 409,
    "bad-key": 400,
    "issuer-unavailable": 503,
    "source-unavailable": 503,
    "store-unavailable": 503,
    "no-key-yet": 503,
    "repository-busy": 503,
    "secret-unavailable": 503,
    "sink-unavailable": 503,
    "sink-refused": 502,
}

_log = logging.getLogger(__name__)


def status_of(fault: GateError) -> int:
    """Return the HTTP status of an error; 500 if the table has none."""
    return STATUS.get(fault.code, 500)


def register(app: Flask) -> None:
    """Render every error of the app as a problem document."""
    app.register_error_handler(GateError, problem_of)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, unknown_error)


def problem_of(fault: GateError) -> Response:
    """Render an error as a problem document."""
    status = status_of(fault)
    g.fault = fault
    answer = _problem(status, fault.code, str(fault) if status != 500 else "")
    if status == 401:  # RFC 6750 §3: a request without credentials gets no error code
        error = ', error="invalid_token"' if "Authorization" in request.headers else ""
        answer.headers["WWW-Authenticate"] = f'Bearer realm="tidegate"{error}'
    if isinstance(fault, RateLimited):
        answer.headers["Retry-After"] = str(math.ceil(fault.retry_after))
    return answer


def _http_error(fault: HTTPException) -> Response:
    detail = _about_path(fault.code) or fault.description or ""
    answer = _problem(fault.code or 500, fault.name.lower().replace(" ", "-"), detail)
    for name, value in fault.get_headers():
        if name.lower() == "allow":
            answer.headers[name] = value
    return answer


def _about_path(status: int | None) -> str:
    """Say what is at an address, if nothing answers there or not to this method."""
    path = request.path
    if status == 405 and path.startswith("/hooks/"):
        return f"{path} is the address of a webhook, and forges send POST: enter it in the forge's webhook settings"
    if status == 405:
        return f"{path} does not answer to {request.method}"
    if status != 404:
        return ""
    if path.startswith("/hooks"):
        return "webhooks are received at /hooks/NAME without a slash at the end; NAME is that of [forges.NAME] in tidegate.toml"
    if path == "/":
        return "nothing is at this address: webhooks go to /hooks/NAME, people sign in at /login, and the API is /api/v1"
    return "nothing is at this address"


def unknown_error(fault: Exception) -> Response:
    """Log an unexpected error, and answer without detail."""
    _log.error("unexpected error: %s", type(fault).__name__, exc_info=fault)
    return _problem(500, "internal", "")


def _problem(status: int, code: str, detail: str) -> Response:
    document = {"type": "about:blank", "title": code, "status": status} | ({"detail": detail} if detail else {})
    return Response(json.dumps(document), status, content_type="application/problem+json")
