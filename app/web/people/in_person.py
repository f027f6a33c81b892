"""A person who is there now: what takes somebody's word takes a sign-in in a browser, not a token that anybody may hold."""

from __future__ import annotations

from flask import request

from app.bootstrap import Process
from app.domain.errors import Forbidden
from app.pipeline.approve.acting_person import Person, acting_person
from app.web.people.callers import CSRF_HEADER, Caller, caller, check_origin
from app.web.people.sessions import current

NOT_HERE = (
    "this takes your own session here (sign in with a browser): a token or an assertion does not show that a person decides"
)


def person_here(process: Process) -> Person:
    """Return the caller as a person with this session, who meant it; raises Forbidden with what is missing.

    Also beside a bearer token, which elsewhere stands for intent, the session's own token is asked for.
    """
    found = viewer(process, caller(process))
    check_origin(process.settings)
    current().check_csrf(request.headers.get(CSRF_HEADER, ""))
    return found


def viewer(process: Process, found: Caller) -> Person:
    """Return the caller as a person with this session, for telling what that person may do; raises Forbidden."""
    if found.session is None:
        raise Forbidden(NOT_HERE)
    services = process.services
    return acting_person(services, services.guard(), found.principal, found.session)
