"""The audit log, kept for ever: one entry for each step, in that step's transaction. Made by `pipeline/ports/record.py`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class AuditAction(StrEnum):
    """Every audited action, as `subject:verb`. Exports and sinks rely on these texts: never change or reuse one."""

    DELIVERY_RECEIVED = "delivery:received"
    DELIVERY_IGNORED = "delivery:ignored"
    DELIVERY_REPLAYED = "delivery:replayed"
    DELIVERY_EMPTIED = "delivery:emptied"
    DEPLOYMENT_PLANNED = "deployment:planned"
    DEPLOYMENT_OVERRIDDEN = "deployment:overridden"
    DEPLOYMENT_DISPUTED = "deployment:disputed"
    DEPLOYMENT_IDENTIFIED = "deployment:identified"
    DEPLOYMENT_HELD = "deployment:held"
    DEPLOYMENT_PERMITTED = "deployment:permitted"
    DEPLOYMENT_GRANTED = "deployment:granted"
    DEPLOYMENT_DISPATCHING = "deployment:dispatching"
    DEPLOYMENT_DISPATCHED = "deployment:dispatched"
    DEPLOYMENT_SUCCEEDED = "deployment:succeeded"
    DEPLOYMENT_DENIED = "deployment:denied"
    DEPLOYMENT_SUPERSEDED = "deployment:superseded"
    DEPLOYMENT_FAILED = "deployment:failed"
    DEPLOYMENT_CANCELLED = "deployment:cancelled"
    APPROVAL_APPROVED = "approval:approved"
    APPROVAL_REJECTED = "approval:rejected"
    OVERRIDE_REVIEWED = "override:reviewed"
    RIGHT_REFUSED = "right:refused"
    PUSH_ALLOWED = "push:allowed"
    PUSH_DENIED = "push:denied"
    PROPOSAL_MADE = "proposal:made"
    PROPOSAL_ACCEPTED = "proposal:accepted"
    PROPOSAL_REJECTED = "proposal:rejected"
    PROPOSAL_APPLIED = "proposal:applied"
    FREEZE_ADDED = "freeze:added"
    FREEZE_ENDED = "freeze:ended"
    ENVIRONMENT_BASELINED = "environment:baselined"
    NOTICE_UNDELIVERED = "notice:undelivered"
    CONFIG_TAKEN = "config:taken"
    CONFIG_REFUSED = "config:refused"
    KEY_MADE = "key:made"
    KEY_ADOPTED = "key:adopted"
    ACCESS_IDENTITY_ADDED = "access:identity-added"
    ACCESS_IDENTITY_CHANGED = "access:identity-changed"
    ACCESS_IDENTITY_ACTIVATED = "access:identity-activated"
    ACCESS_IDENTITY_DEACTIVATED = "access:identity-deactivated"
    ACCESS_IDENTITY_GONE = "access:identity-gone"
    ACCESS_IDENTITY_WITHDRAWN = "access:identity-withdrawn"
    ACCESS_SUBJECT_PASSED_ON = "access:subject-passed-on"  # from now on the subject may be another person
    ACCESS_GROUP_ADDED = "access:group-added"
    ACCESS_GROUP_CHANGED = "access:group-changed"
    ACCESS_GROUP_GONE = "access:group-gone"
    ACCESS_SOURCE_BEGUN_ANEW = "access:source-begun-anew"
    ACCESS_LINKED = "access:linked"
    ACCESS_UNLINKED = "access:unlinked"
    ACCESS_KEY_ADDED = "access:key-added"
    ACCESS_KEY_REVOKED = "access:key-revoked"
    ACCESS_TOKEN_CREATED = "access:token-created"  # noqa: S105 - the name of an action, not a password
    ACCESS_TOKEN_REVOKED = "access:token-revoked"  # noqa: S105 - as above
    ACCESS_SESSIONS_ENDED = "access:sessions-ended"
    SESSION_STARTED = "session:started"
    SESSION_REFUSED = "session:refused"
    SESSION_ENDED = "session:ended"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One entry of the log. `detail` is plain JSON and holds no secret.

    `action` is a bare text only in an entry that another release wrote.
    """

    id: str
    at: datetime
    action: AuditAction | str
    actor: str
    deployment_id: str | None
    delivery_id: str | None
    correlation_id: str
    detail: dict[str, Any]
    seq: int = 0


def recorded_action(text: str) -> AuditAction | str:
    """Read an action back from the log. An unknown action of another release stays a text, so the log is always readable."""
    try:
        return AuditAction(text)
    except ValueError:
        return text
