"""A person who is present: decisions of people need a sign-in with a browser, not a token that anybody may hold."""

from __future__ import annotations

from flask import request

from app.bootstrap import Process
from app.domain.errors import Forbidden
from app.pipeline.approve.acting_person import Person, acting_person
from app.web.people.callers import CSRF_HEADER, Caller, caller, check_origin
from app.web.people.sessions import current

NOT_HERE = (
    "this needs your own session here (sign in with a browser): a token or an assertion does not show that a person decides"
)


def person_here(process: Process) -> Person:
    """Return the caller as a person with this session, who meant the request; raises Forbidden with what is missing.

    The session's CSRF token is required even beside a bearer token, which proves intent elsewhere.
    """
    person = viewer(process, caller(process))
    check_origin(process.settings)
    current().check_csrf(request.headers.get(CSRF_HEADER, ""))
    return person


def viewer(process: Process, who: Caller) -> Person:
    """Return the caller as a person with this session, to tell what that person may do; raises Forbidden."""
    if who.session is None:
        raise Forbidden(NOT_HERE)
    services = process.services
    return acting_person(services, services.guard(), who.principal, who.session)
