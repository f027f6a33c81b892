"""How each room of the web is protected: one table, looked up before every request. A room outside it accepts no changes.

Rooms are blueprints by name. Each operation of the API also says what it needs (`api/operations.py`); one that says nothing
answers nobody. `tests/web/people/test_protect.py` walks all routes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from flask import Flask, request
from werkzeug.exceptions import RequestEntityTooLarge

from app.bootstrap import Process
from app.domain.errors import Forbidden, TooLarge
from app.web.people.callers import caller, check_access, check_form, check_intent
from app.web.people.in_person import person_here

LARGEST_REQUEST = 16 * 1024
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class RequiredProof(StrEnum):
    """The proof that a request must bring if it changes something."""

    SIGNATURE = "signature"  # over its exact bytes
    HEADER = "header"  # a value that only the source knows
    BEARER = "bearer"  # a token made for this client alone
    OPERATION = "operation"  # what the operation's own row needs
    FORM = "form"  # the CSRF token of the session, in the form


class Needs(StrEnum):
    """The proof that an operation of the API needs, whether it changes something or not."""

    NOBODY = "nobody"  # none: anybody may call
    CALLER = "caller"  # an active principal: a session, a token or an assertion
    INTENT = "intent"  # the same; a session also needs its CSRF token. It gives no rights
    PERSON = "person"  # a person with a session and its CSRF token: all that gives or uses a right
    INSTANCE = "instance"  # a forge that asks about pushes to itself, with one of its `decide_secrets`


API = "/api/v1"
NeedsOf = Mapping[tuple[str, str], Needs]  # by method in lower case, and path as `{name}`
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
    "api": ProtectedRoom(RequiredProof.OPERATION),
    "login": ProtectedRoom(RequiredProof.FORM),
    "account": ProtectedRoom(RequiredProof.FORM),
}


def protect(app: Flask, process: Process, needs_of: NeedsOf) -> None:
    """Check every request of the app for what its room and its operation demand, before it reaches a view."""

    def check() -> None:
        room = ROOMS.get(request.blueprint or "")
        if room is not None and room.changes not in CHECKED_THERE:
            _check_room(process, room)
        if request.endpoint is None or request.method == "OPTIONS":
            return
        if room is not None and room.changes is RequiredProof.OPERATION:
            return _check_operation(process, needs_of)
        if request.method in _READING:
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


def _check_operation(process: Process, needs_of: NeedsOf) -> None:
    method = "get" if request.method == "HEAD" else request.method.lower()
    match needs_of.get((method, _path())):
        case None:
            raise Forbidden("this operation does not say who may call it")
        case Needs.NOBODY | Needs.INSTANCE:  # an instance is recognised by its own room
            return
        case Needs.CALLER:
            caller(process)
        case Needs.INTENT:
            check_intent(caller(process), process.settings)
        case Needs.PERSON:
            person_here(process)


def _path() -> str:
    """Spell the route as `operations.py` does: /deployments/{deployment}."""
    rule = request.url_rule.rule if request.url_rule is not None else ""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.removeprefix(API))


def _check_change(process: Process, proof: RequiredProof) -> None:
    try:
        if proof is RequiredProof.FORM:
            check_form(process.settings)
    except RequestEntityTooLarge:
        raise TooLarge(f"the request is larger than {LARGEST_REQUEST} bytes") from None
