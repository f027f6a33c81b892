"""Requests for approvals, votes, and reviews of overrides. A vote is written once and never changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert

from app.domain.approval import ApprovalRequest, RequestState, Verdict, Vote
from app.store.schema.approvals import approval_requests as requests
from app.store.schema.approvals import override_reviews, votes

_STANDING = (RequestState.OPEN, RequestState.GRANTED)


@dataclass(frozen=True, slots=True)
class SqlApprovals:
    """The tables of approvals (protocol: `pipeline.ports.stores.approvals.Approvals`)."""

    connection: Connection

    def ask(self, request: ApprovalRequest) -> None:
        """Open a request. The deployment's former request must be closed."""
        row = {name: getattr(request, name) for name in ApprovalRequest.__dataclass_fields__} | {"targets": list(request.targets)}
        self.connection.execute(insert(requests).values(row))

    def standing(self, deployment_id: str) -> ApprovalRequest | None:
        """Return the newest request of a deployment if it is open or granted."""
        mine = select(requests).where(requests.c.deployment_id == deployment_id)
        row = self.connection.execute(mine.order_by(requests.c.requested_at.desc(), requests.c.id.desc()).limit(1)).first()
        return _request(row) if row is not None and row.state in _STANDING else None

    def lock(self, request_id: str) -> tuple[ApprovalRequest, int] | None:
        """Lock a request; return it as it is now, and the number of its votes."""
        row = self.connection.execute(select(requests).where(requests.c.id == request_id).with_for_update()).first()
        if row is None:
            return None
        count = select(func.count()).where(votes.c.request_id == request_id)
        return _request(row), self.connection.execute(count).scalar_one()

    def close(self, deployment_id: str, state: RequestState, at: datetime) -> bool:
        """Close the open request of a deployment; False if there is none."""
        mine = (requests.c.deployment_id == deployment_id, requests.c.state == RequestState.OPEN)
        return self.connection.execute(update(requests).where(*mine).values(state=state, closed_at=at)).rowcount == 1

    def open(self, environment: str | None = None) -> list[ApprovalRequest]:
        """List the open requests, oldest first."""
        query = select(requests).where(requests.c.state == RequestState.OPEN).order_by(requests.c.requested_at, requests.c.id)
        if environment is not None:
            query = query.where(requests.c.environment == environment)
        return [_request(row) for row in self.connection.execute(query)]

    def vote(self, vote: Vote) -> bool:
        """Store a vote; False if this person has already voted on this request."""
        row = {name: getattr(vote, name) for name in Vote.__dataclass_fields__} | {"context": dict(vote.context)}
        statement = insert(votes).values(row).on_conflict_do_nothing().returning(votes.c.id)
        return self.connection.execute(statement).first() is not None

    def votes(self, request_id: str) -> list[Vote]:
        """List the votes on a request, oldest first."""
        query = select(votes).where(votes.c.request_id == request_id).order_by(votes.c.at, votes.c.id)
        return [vote_from(row) for row in self.connection.execute(query)]

    def review(self, deployment_id: str, subject: str, comment: str, *, at: datetime) -> bool:
        """Store the review of an override; False if it was reviewed before."""
        values = {"deployment_id": deployment_id, "subject": subject, "comment": comment, "at": at}
        statement = insert(override_reviews).values(values).on_conflict_do_nothing()
        return self.connection.execute(statement.returning(override_reviews.c.deployment_id)).first() is not None


def _request(row: Any) -> ApprovalRequest:
    return ApprovalRequest(
        id=row.id,
        deployment_id=row.deployment_id,
        environment=row.environment,
        sha=row.sha,
        targets=tuple(row.targets),
        policy_digest=row.policy_digest,
        requested_at=row.requested_at,
        expires_at=row.expires_at,
        state=RequestState(row.state),
    )


def vote_from(row: Any) -> Vote:
    """Read a vote from its row."""
    return Vote(row.id, row.request_id, row.subject, Verdict(row.verdict), row.comment, row.context, row.at)
