"""What the steps ask of approvals, inside a unit. Part of `line.py`."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from app.domain.approval import ApprovalRequest, RequestState, Vote


class Approvals(Protocol):
    """Requests for approvals, what people said to them, and reviews of overrides."""

    def ask(self, request: ApprovalRequest) -> None:
        """Open a request; the former one of the deployment must be closed."""
        ...

    def standing(self, deployment_id: str) -> ApprovalRequest | None:
        """Return the newest request of a deployment, if it is open or was granted."""
        ...

    def lock(self, request_id: str) -> tuple[ApprovalRequest, int] | None:
        """Lock a request (after its deployment); return it as it is now, and how many have voted on it."""
        ...

    def close(self, deployment_id: str, state: RequestState, at: datetime) -> bool:
        """Close the open request of a deployment; False where none is open."""
        ...

    def open(self, environment: str | None = None) -> list[ApprovalRequest]:
        """List the open requests, oldest first."""
        ...

    def vote(self, vote: Vote) -> bool:
        """Keep a vote; False where this person has voted on this request."""
        ...

    def votes(self, request_id: str) -> list[Vote]:
        """List the votes on a request, oldest first."""
        ...

    def review(self, deployment_id: str, subject: str, comment: str, *, at: datetime) -> bool:
        """Note that an override was reviewed; False where it was before."""
        ...
