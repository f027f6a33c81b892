"""Log each refusal of a caller that is known, and count all. A stranger gets no line, so strangers cannot fill a disk.

A room that recognises its caller says so by `know`; a rendered error says which it was (`wire/errors.py`).
"""

from __future__ import annotations

import structlog
from flask import Flask, Response, g, request

from app.domain.errors import BadToken, Forbidden, GateError, RateLimited
from app.domain.text import plain_line
from app.web.metrics import count_refusal

REFUSALS = (BadToken, Forbidden, RateLimited)

_log = structlog.get_logger("tidegate.refusals")


def know(name: str) -> None:
    """Note who calls, by a proof that holds, for the line about a refusal."""
    g.known_as = name


def watch_refusals(app: Flask) -> None:
    """Note after each request whether, and to whom, something was refused. Deliveries are noted by their own room."""

    def note(response: Response) -> Response:
        fault = g.pop("fault", None)
        if isinstance(fault, REFUSALS) and request.blueprint not in ("hooks", "scim"):
            _note(fault, g.get("known_as"))
        return response

    app.after_request(note)


def _note(fault: GateError, known_as: str | None) -> None:
    count_refusal(request.blueprint or "none", fault.code, is_known=known_as is not None)
    if known_as is None:
        return
    place = request.url_rule.rule if request.url_rule is not None else ""
    _log.warning(
        "refused",
        who=plain_line(known_as),
        route=f"{request.method} {place}",
        ids=sorted(f"{name}={plain_line(str(value))}" for name, value in (request.view_args or {}).items()),
        outcome=fault.code,
        reason=plain_line(str(fault)),
    )
