"""Every write of the store, with its audit actions, or with the reason why it is not audited.

The step that writes appends the entry in the same transaction. `tests/store/test_writes.py` walks the store and finds each
method that writes but does not have a row here. Messages to the broker do not count: they hold only ids, and may be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from app.domain.audit import AuditAction


class Unaudited(StrEnum):
    """Why a write needs no audit entry."""

    LOG = "it is the audit log"
    LEASE = "a turn; a lease ends by itself, and a slot with its deployment"
    SCHEDULE = "the time to look again, and the reason for waiting"
    ATTEMPT = "the number and time of tries; the result is audited"
    CURSOR = "how far, or when last, something was read or used"
    CACHE = "it only makes others decide again"
    CONTENT = "a text under its digest; the entry of each decision names the digest"
    TRANSIT = "a delivery or notice on its way; it is audited at its destination, or at its origin"
    BROWSER = "data of a browser's session between two requests, before or after sign-in"
    EXPIRY = "deletes rows that had ended before"


_IDENTITY_STATED = (
    AuditAction.ACCESS_IDENTITY_ADDED,
    AuditAction.ACCESS_IDENTITY_CHANGED,
    AuditAction.ACCESS_IDENTITY_ACTIVATED,
    AuditAction.ACCESS_IDENTITY_DEACTIVATED,
)
_GROUP_STATED = (AuditAction.ACCESS_GROUP_ADDED, AuditAction.ACCESS_GROUP_CHANGED)
_WITHDRAWN = (AuditAction.ACCESS_IDENTITY_GONE, AuditAction.ACCESS_GROUP_GONE)
_STATED = (*_IDENTITY_STATED, *_GROUP_STATED, *_WITHDRAWN, AuditAction.ACCESS_SUBJECT_PASSED_ON)
_GOES_ON = (
    AuditAction.DEPLOYMENT_IDENTIFIED,
    AuditAction.DEPLOYMENT_HELD,
    AuditAction.DEPLOYMENT_PERMITTED,
    AuditAction.DEPLOYMENT_GRANTED,
)
_STARTS = (AuditAction.DEPLOYMENT_DISPATCHING, AuditAction.DEPLOYMENT_DISPATCHED, AuditAction.DEPLOYMENT_SUCCEEDED)
_ENDS_EARLY = (
    AuditAction.DEPLOYMENT_DENIED,
    AuditAction.DEPLOYMENT_SUPERSEDED,
    AuditAction.DEPLOYMENT_FAILED,
    AuditAction.DEPLOYMENT_CANCELLED,
)

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
        "SqlDeliveries.empty_bodies": (AuditAction.DELIVERY_EMPTIED,),
        "SqlDeliveries.postpone": (Unaudited.ATTEMPT,),
        # deployments
        "SqlDeployments.add": (AuditAction.DEPLOYMENT_PLANNED, AuditAction.DEPLOYMENT_OVERRIDDEN),
        "SqlDeployments.add_all": (AuditAction.DEPLOYMENT_PLANNED,),
        "SqlDeployments.admit": (Unaudited.SCHEDULE,),
        "SqlActs.dispute": (AuditAction.DEPLOYMENT_DISPUTED,),
        "SqlDeployments.advance": (*_GOES_ON, *_STARTS, *_ENDS_EARLY),
        "SqlDeployments.defer": (Unaudited.SCHEDULE,),
        "SqlDeployments.explain": (Unaudited.SCHEDULE,),
        "SqlDeployments.note_fault": (Unaudited.SCHEDULE,),
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
        "SqlBaselines.add": (AuditAction.ENVIRONMENT_BASELINED,),
        "SqlProposals.add": (AuditAction.PROPOSAL_MADE,),
        "SqlProposals.update": (AuditAction.PROPOSAL_ACCEPTED, AuditAction.PROPOSAL_REJECTED, AuditAction.PROPOSAL_APPLIED),
        "SqlFreezes.add": (AuditAction.FREEZE_ADDED,),
        "SqlFreezes.end": (AuditAction.FREEZE_ENDED,),
        "SqlUnit.remember_version": (AuditAction.CONFIG_REFUSED, Unaudited.CONTENT),
        # people
        # Unlinking stores a link to NOBODY, so that no rule links the account again.
        "SqlAccess.link": (AuditAction.ACCESS_LINKED, AuditAction.ACCESS_UNLINKED),
        "SqlAccess.link_all": (AuditAction.ACCESS_LINKED,),
        "SqlAccess.unlink": (AuditAction.ACCESS_UNLINKED,),
        "SqlAccess.raise_version": (Unaudited.CACHE,),
        "SqlStatements.say": _STATED,
        "SqlStatements.forget": _WITHDRAWN,
        "SqlStatements.withdraw": (AuditAction.ACCESS_IDENTITY_WITHDRAWN,),
        "SqlStatements.belong": _GROUP_STATED,
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
        "SqlScim.create": _STATED,
        "SqlScim.update": _STATED,
        "SqlScim.delete": (*_WITHDRAWN, AuditAction.ACCESS_GROUP_CHANGED),  # it leaves its groups, too
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
        "SqlSessions.bind": (AuditAction.DEPLOYMENT_OVERRIDDEN, AuditAction.DEPLOYMENT_PLANNED),
        "SqlSessions.revoke": (AuditAction.SESSION_ENDED, AuditAction.ACCESS_SESSIONS_ENDED),
        # the rest
        "SqlAudit.append": (Unaudited.LOG,),
        "SqlOutbox.add": (Unaudited.TRANSIT,),
        "SqlOutbox.claim": (Unaudited.LEASE,),
        "SqlOutbox.sent": (Unaudited.TRANSIT,),
        "SqlOutbox.postpone": (Unaudited.ATTEMPT,),
        "SqlOutbox.give_up": (AuditAction.NOTICE_UNDELIVERED,),
        "SqlOutbox.expire": (Unaudited.EXPIRY,),
        "SqlSigningKeys.settle": (AuditAction.KEY_MADE, AuditAction.KEY_ADOPTED),
    }
)

ENTRY_ALONE: Mapping[AuditAction, str] = MappingProxyType(
    {
        AuditAction.PUSH_DENIED: "a refused push is not stored",
        AuditAction.CONFIG_TAKEN: "the configuration is in files",
        AuditAction.RIGHT_REFUSED: "nothing is planned without the right",
        AuditAction.SESSION_REFUSED: "a refused sign-in does not begin a session",
    }
)
