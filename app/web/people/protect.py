"""How each room of the web is protected: one table, looked up before every request. A room outside it accepts no changes.

Rooms are blueprints by name. `tests/web/people/test_protect.py` walks all routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from flask import Flask, request
from werkzeug.exceptions import RequestEntityTooLarge

from app.bootstrap import Process
from app.domain.errors import Forbidden, TooLarge
from app.web.people.callers import caller, check_access, check_form, check_intent

LARGEST_REQUEST = 16 * 1024
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class RequiredProof(StrEnum):
    """The proof that a request must bring if it changes something."""

    SIGNATURE = "signature"  # over its exact bytes
    HEADER = "header"  # a value that only the source knows
    BEARER = "bearer"  # a token made for this client alone
    CALLER = "caller"  # a bearer token, or a session with its CSRF token
    FORM = "form"  # the CSRF token of the session, in the form


CHECKED_THERE = frozenset(
    {RequiredProof.SIGNATURE, RequiredProof.HEADER, RequiredProof.BEARER}
)  # by the room itself, before anything else


@dataclass(frozen=True, slots=True)
class ProtectedRoom:
    """The proof that changes need, and whether every request must come through the configured `access_issuer`."""

    changes: RequiredProof
    is_behind_access: bool = True


ROOMS = {
    "hooks": ProtectedRoom(RequiredProof.SIGNATURE, is_behind_access=False),
    "events": ProtectedRoom(RequiredProof.HEADER, is_behind_access=False),
    "scim": ProtectedRoom(RequiredProof.BEARER, is_behind_access=False),
    "decide": ProtectedRoom(RequiredProof.HEADER, is_behind_access=False),
    "api": ProtectedRoom(RequiredProof.CALLER),
    "login": ProtectedRoom(RequiredProof.FORM),
    "account": ProtectedRoom(RequiredProof.FORM),
}


def protect(app: Flask, process: Process) -> None:
    """Check every request of the app for what its room demands, before it reaches a view."""

    def check() -> None:
        room = ROOMS.get(request.blueprint or "")
        if room is not None and room.changes not in CHECKED_THERE:
            _check_room(process, room)
        if request.endpoint is None or request.method in _READING:
            return
        if room is None:
            raise Forbidden("nothing can be changed here")
        _check_change(process, room.changes)

    app.before_request(check)


def _check_room(process: Process, room: ProtectedRoom) -> None:
    request.max_content_length = request.max_form_memory_size = LARGEST_REQUEST
    guard = process.services.guard()
    if room.is_behind_access and guard.access_issuer is not None:
        check_access(guard, guard.access_issuer)


def _check_change(process: Process, proof: RequiredProof) -> None:
    try:
        if proof is RequiredProof.CALLER:
            check_intent(caller(process), process.settings)
        elif proof is RequiredProof.FORM:
            check_form(process.settings)
    except RequestEntityTooLarge:
        raise TooLarge(f"the request is larger than {LARGEST_REQUEST} bytes") from None
