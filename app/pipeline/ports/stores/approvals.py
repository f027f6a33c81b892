"""The port to approvals: a room of a `Unit` (`unit.py`)."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from app.domain.approval import ApprovalRequest, RequestState, Vote


class Approvals(Protocol):
    """Approval requests, their votes, and reviews of overrides."""

    def ask(self, request: ApprovalRequest) -> None:
        """Open a request; the deployment's former one must be closed."""
        ...

    def standing(self, deployment_id: str) -> ApprovalRequest | None:
        """Return the newest request of a deployment, if it is open or was granted."""
        ...

    def lock(self, request_id: str) -> tuple[ApprovalRequest, int] | None:
        """Lock a request (after its deployment); return it as it is now, and the number of its votes."""
        ...

    def close(self, deployment_id: str, state: RequestState, at: datetime) -> bool:
        """Close the open request of a deployment; False if none is open."""
        ...

    def open(self, environment: str | None = None) -> list[ApprovalRequest]:
        """List the open requests, oldest first."""
        ...

    def vote(self, vote: Vote) -> bool:
        """Store a vote; False if this person has voted on this request already."""
        ...

    def votes(self, request_id: str) -> list[Vote]:
        """List the votes on a request, oldest first."""
        ...

    def review(self, deployment_id: str, subject: str, comment: str, *, at: datetime) -> bool:
        """Note that an override was reviewed; False if it was reviewed before."""
        ...
