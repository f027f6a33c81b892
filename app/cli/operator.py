"""The operator as a person who decides: the operating-system user, with the newest sign-in at the gate."""

from __future__ import annotations

from app.bootstrap import Process
from app.integrations.system import operator
from app.pipeline.approve.acting_person import Person, person_behind


def acting_operator(running: Process) -> Person:
    """Return the operator as a person; raises Forbidden with what is missing."""
    services = running.services
    return person_behind(services, services.guard(), operator())
