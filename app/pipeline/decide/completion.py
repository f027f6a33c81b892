"""What a recorded decision is completed with, where newer policies may ask about more than was recorded then.

One form for each fact, as in `case.py`: that which says that it is not known, or that nothing of the kind was there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.approval import NO_VOTES
from app.domain.decision import Action
from app.domain.signature import Signatures
from app.pipeline.decide.case import NO_SESSION

ABSENT: Mapping[str, Any] = {
    "event": "",
    "ref": "",
    "branch": "",
    "tag": "",
    "sha": "",
    "environments": [],
    "zones": [],
    "targets": [],
    "authors_known": False,
    "unknown_authors": [],
    "signatures": Signatures.NONE.value,
    "forced": False,
    "paths": [],
    "paths_known": False,
    "findings": [],
    "inspected": False,
    "checked_at_push": False,
    "session": NO_SESSION,
    "actor_login": "",
    "approvals": NO_VOTES.as_fact(),
    "involved": False,
    "hour": 0,
    "minute": 0,
    "weekday": 1,
    "date": "",
    "frozen": False,
    "freezes": [],
}


def complete(asked: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Complete a recorded request (Decision.request) with what is asked about today; tell whether anything was missing."""
    request = asked["request"]
    context: Mapping[str, Any] = request["context"]
    if ABSENT.keys() <= context.keys():
        return dict(asked), False
    where = request["resource"]["id"] if request["action"]["id"] != Action.PUSH else None
    known = {"environments": [where]} if where is not None else {}
    return dict(asked) | {"request": request | {"context": {**ABSENT, **known, **context}}}, True
