"""Every write of the store, and how it is audited: by these actions, or not at all for this reason.

The step that writes appends the entry in the same transaction; `tests/store/test_writes.py` walks the store and finds a method
that writes and has no row here. Messages to the broker are no writes: they hold ids only, and may be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from app.domain.audit import AuditAction


class Unaudited(StrEnum):
    """Why a write needs no audit entry."""

    LOG = "it is the audit log"
    LEASE = "whose turn it is; a lease ends by itself, and a slot with its deployment"
    SCHEDULE = "when to look again, and a sentence on why not before"
    ATTEMPT = "how often it was tried, and when; the result is audited"
    CURSOR = "how far, or when last, something was heard or used"
    CACHE = "others have to ask again"
    CONTENT = "a text under its digest; the entry of each decision names the digest"
    TRANSIT = "a delivery or notice on its way; it is audited where it arrives, or where it comes from"
    BROWSER = "what a browser's session holds between two requests, before or after sign-in"
    EXPIRY = "deletes what has ended before"
    FIRST_KEY = "made once, by the first process ever; no person acts"


_SAID_OF_PEOPLE = (
    AuditAction.ACCESS_IDENTITY_ADDED,
    AuditAction.ACCESS_IDENTITY_CHANGED,
    AuditAction.ACCESS_IDENTITY_ACTIVATED,
    AuditAction.ACCESS_IDENTITY_DEACTIVATED,
)
_SAID_OF_GROUPS = (AuditAction.ACCESS_GROUP_ADDED, AuditAction.ACCESS_GROUP_CHANGED)
_TAKEN_BACK = (AuditAction.ACCESS_IDENTITY_GONE, AuditAction.ACCESS_GROUP_GONE)
_SAID = (*_SAID_OF_PEOPLE, *_SAID_OF_GROUPS, *_TAKEN_BACK, AuditAction.ACCESS_SUBJECT_PASSED_ON)
_GOES_ON = (
    AuditAction.DEPLOYMENT_IDENTIFIED,
    AuditAction.DEPLOYMENT_HELD,
    AuditAction.DEPLOYMENT_PERMITTED,
    AuditAction.DEPLOYMENT_GRANTED,
)
_STARTS = (AuditAction.DEPLOYMENT_DISPATCHING, AuditAction.DEPLOYMENT_DISPATCHED, AuditAction.DEPLOYMENT_SUCCEEDED)
_ENDS_EARLY = (AuditAction.DEPLOYMENT_DENIED, AuditAction.DEPLOYMENT_SUPERSEDED, AuditAction.DEPLOYMENT_FAILED)

WRITES: Mapping[str, tuple[AuditAction | Unaudited, ...]] = MappingProxyType(
    {
        # deliveries
        "SqlInbox.put": (AuditAction.DELIVERY_RECEIVED, AuditAction.DELIVERY_IGNORED),
        "insert_deliveries": (AuditAction.DELIVERY_RECEIVED, AuditAction.DELIVERY_IGNORED),
        "Spool.put": (Unaudited.TRANSIT,),
        "Spool.remove": (Unaudited.TRANSIT,),
        "Spool.refuse": (Unaudited.TRANSIT,),
        "SqlDeliveries.reserve": (Unaudited.LEASE,),
        "SqlDeliveries.finish": (AuditAction.DEPLOYMENT_PLANNED, AuditAction.DELIVERY_IGNORED, AuditAction.DELIVERY_REPLAYED),
        "SqlDeliveries.postpone": (Unaudited.ATTEMPT,),
        # deployments
        "SqlDeployments.add": (AuditAction.DEPLOYMENT_PLANNED, AuditAction.DEPLOYMENT_OVERRIDDEN),
        "SqlDeployments.add_all": (AuditAction.DEPLOYMENT_PLANNED,),
        "SqlDeployments.admit": (Unaudited.SCHEDULE,),
        "SqlDeployments.advance": (*_GOES_ON, *_STARTS, *_ENDS_EARLY),
        "SqlDeployments.defer": (Unaudited.SCHEDULE,),
        "SqlDeployments.explain": (Unaudited.SCHEDULE,),
        "SqlDeployments.take_due": (Unaudited.SCHEDULE,),
        "SqlSlots.lock": (Unaudited.LEASE,),
        "SqlSlots.hold": (Unaudited.LEASE,),
        "SqlSlots.release": (Unaudited.LEASE,),
        "SqlDispatches.intend": (AuditAction.DEPLOYMENT_DISPATCHING,),
        "SqlDispatches.claim": (Unaudited.LEASE,),
        "SqlDispatches.renew": (Unaudited.LEASE,),
        "SqlDispatches.report": (AuditAction.DEPLOYMENT_DISPATCHED, AuditAction.DEPLOYMENT_FAILED, Unaudited.ATTEMPT),
        "SqlDispatches.observe": (AuditAction.DEPLOYMENT_SUCCEEDED, AuditAction.DEPLOYMENT_FAILED),
        "SqlApprovals.ask": (AuditAction.DEPLOYMENT_HELD,),
        "SqlApprovals.close": (AuditAction.DEPLOYMENT_HELD, AuditAction.DEPLOYMENT_PERMITTED, *_ENDS_EARLY),
        "SqlApprovals.vote": (AuditAction.APPROVAL_APPROVED, AuditAction.APPROVAL_REJECTED),
        "SqlApprovals.review": (AuditAction.OVERRIDE_REVIEWED,),
        # rules
        "SqlPushes.keep": (AuditAction.PUSH_ALLOWED,),
        "SqlProposals.add": (AuditAction.PROPOSAL_MADE,),
        "SqlProposals.update": (AuditAction.PROPOSAL_ACCEPTED, AuditAction.PROPOSAL_REJECTED, AuditAction.PROPOSAL_APPLIED),
        "SqlFreezes.add": (AuditAction.FREEZE_ADDED,),
        "SqlFreezes.end": (AuditAction.FREEZE_ENDED,),
        "SqlUnit.remember_version": (AuditAction.CONFIG_REFUSED, Unaudited.CONTENT),
        # people
        "SqlAccess.link": (
            AuditAction.ACCESS_LINKED,
            AuditAction.ACCESS_UNLINKED,
        ),  # a link to nobody keeps a rule from linking anew
        "SqlAccess.link_all": (AuditAction.ACCESS_LINKED,),
        "SqlAccess.unlink": (AuditAction.ACCESS_UNLINKED,),
        "SqlAccess.raise_version": (Unaudited.CACHE,),
        "SqlStatements.say": _SAID,
        "SqlStatements.forget": _TAKEN_BACK,
        "SqlStatements.withdraw": (AuditAction.ACCESS_IDENTITY_WITHDRAWN,),
        "SqlStatements.belong": _SAID_OF_GROUPS,
        "SqlStatements.open": (AuditAction.ACCESS_SOURCE_BEGUN_ANEW, Unaudited.CURSOR),
        "SqlStatements.taken_over": (Unaudited.CURSOR,),
        "SqlStatements.lease": (Unaudited.LEASE,),
        "SqlStatements.extend": (Unaudited.LEASE,),
        "SqlStatements.release": (Unaudited.LEASE,),
        "SqlStatements.heard": (Unaudited.CURSOR,),
        "SqlStatements.confirm": (Unaudited.CURSOR,),
        "SqlHints.keep": (Unaudited.CURSOR,),
        "SqlHints.close": (Unaudited.CURSOR,),
        "SqlHints.expire": (Unaudited.EXPIRY,),
        "SqlScim.create": _SAID,
        "SqlScim.update": _SAID,
        "SqlScim.delete": (*_TAKEN_BACK, AuditAction.ACCESS_GROUP_CHANGED),  # out of its groups, too
        "SqlScimTokens.add": (AuditAction.ACCESS_TOKEN_CREATED,),
        "SqlScimTokens.note_use": (Unaudited.CURSOR,),
        "SqlScimTokens.revoke": (AuditAction.ACCESS_TOKEN_REVOKED,),
        "SqlCommitKeys.add": (AuditAction.ACCESS_KEY_ADDED,),
        "SqlCommitKeys.revoke": (AuditAction.ACCESS_KEY_REVOKED,),
        "SqlSessions.add": (AuditAction.SESSION_STARTED, Unaudited.BROWSER),
        "SqlSessions.keep": (Unaudited.BROWSER,),
        "SqlSessions.take": (Unaudited.BROWSER,),
        "SqlSessions.touch": (Unaudited.CURSOR,),
        "SqlSessions.end": (AuditAction.SESSION_ENDED, AuditAction.ACCESS_SESSIONS_ENDED, Unaudited.BROWSER),
        "SqlSessions.expire": (Unaudited.EXPIRY,),
        # the rest
        "SqlAudit.append": (Unaudited.LOG,),
        "SqlOutbox.add": (Unaudited.TRANSIT,),
        "SqlOutbox.claim": (Unaudited.LEASE,),
        "SqlOutbox.sent": (Unaudited.TRANSIT,),
        "SqlOutbox.postpone": (Unaudited.ATTEMPT,),
        "SqlOutbox.give_up": (AuditAction.NOTICE_UNDELIVERED,),
        "SqlOutbox.expire": (Unaudited.EXPIRY,),
        "SqlSigningKeys.newest": (Unaudited.FIRST_KEY,),
    }
)

ENTRY_ALONE: Mapping[AuditAction, str] = MappingProxyType(
    {
        AuditAction.PUSH_DENIED: "a push that is refused leaves nothing",
        AuditAction.CONFIG_TAKEN: "the configuration lies in files",
        AuditAction.SESSION_REFUSED: "no session begins",
    }
)
