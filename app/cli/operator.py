"""The operator as a person: the operating-system user; to decide for others, with the newest sign-in at the gate."""

from __future__ import annotations

from app.bootstrap import Process
from app.domain.errors import Forbidden
from app.domain.principal import Principal
from app.integrations.system import operator
from app.pipeline.approve.acting_person import Person, person_behind
from app.pipeline.decide.judgement import active_principal


def acting_operator(running: Process) -> Person:
    """Return the operator as a person; raises Forbidden with what is missing."""
    services = running.services
    return person_behind(services, services.guard(), operator())


def operating_principal(running: Process) -> Principal:
    """Return the operator's principal, for an act that takes no sign-in (ADR 3); raises Forbidden with what is missing."""
    fault, principal = active_principal(running.services.guard().identity, operator())
    if principal is None:
        raise Forbidden(fault)
    return principal
