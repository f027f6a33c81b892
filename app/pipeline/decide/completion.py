"""Complete recorded decisions: newer policies may ask about facts that were not recorded then.

Each fact has one value for this, as in `case.py`. It says that the fact is not known, or that nothing of the kind existed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.approval import NO_VOTES
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
    "involved_known": False,
    "hour": 0,
    "minute": 0,
    "weekday": 1,
    "date": "",
    "frozen": False,
    "freezes": [],
}

# Facts about commits with which nothing is wrong: of an act that brings none, or whose commits are looked at later.
BEST: Mapping[str, Any] = {
    "authors_known": True,
    "unknown_authors": [],
    "involved_known": True,
    "signatures": Signatures.ALL.value,
    "checked_at_push": True,
    "forced": False,
    "paths": [],
    "paths_known": True,
    "findings": [],
    "inspected": True,
}


def complete(question: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """Complete a recorded question (Decision.request) with the facts of today; tell whether any fact was missing."""
    request = question["request"]
    context: Mapping[str, Any] = request["context"]
    if ABSENT.keys() <= context.keys():
        return dict(question), False
    environment = request["resource"]["id"] if request["resource"]["type"] == "Environment" else None
    known = {"environments": [environment]} if environment is not None else {}
    return dict(question) | {"request": request | {"context": {**ABSENT, **known, **context}}}, True
