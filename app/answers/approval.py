"""Answers about deployments that wait for approvals, and about votes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import Field

from app.answers.answer import Answer, Json, fields_json
from app.answers.people import WhoAnswer, who_answer
from app.domain.approval import Verdict, Vote
from app.pipeline.approve.waiting import Waiting


class VoteAnswer(Answer):
    """One person's vote; it cannot be changed."""

    id: str
    subject: str
    verdict: Verdict
    comment: str
    at: datetime


class FallenAnswer(Answer):
    """A person whose vote no longer counts, and why."""

    subject: str
    why: str


class WaitingAnswer(Answer):
    """A deployment that waits for approvals.

    `missing` lists the approvals that it still needs; `why_not` says why the caller may not vote.
    """

    deployment: str
    environment: str
    repository: str
    ref: str
    sha: str
    targets: list[str]
    asked_by: WhoAnswer
    requested_at: datetime
    expires_at: datetime
    reason: str | None
    votes: list[VoteAnswer]
    valid: list[str] = Field(description="The people whose votes count now.")
    fallen: list[FallenAnswer]
    missing: list[str]
    may_vote: bool
    why_not: str | None


class ApprovalsAnswer(Answer):
    """Deployments that wait for approvals now, oldest first."""

    approvals: list[WaitingAnswer]


def vote_answer(vote: Vote) -> VoteAnswer:
    """Return a vote."""
    return VoteAnswer(id=vote.id, subject=vote.subject, verdict=vote.verdict, comment=vote.comment, at=vote.at)


def vote_json(vote: Vote) -> Json:
    """Spell a vote for `--json`, with `request_id`, which the API leaves out."""
    return {name: value for name, value in fields_json(vote).items() if name != "context"}


def approvals_answer(waits: Iterable[Waiting]) -> ApprovalsAnswer:
    """List deployments that wait for approvals."""
    return ApprovalsAnswer(approvals=[waiting_answer(waiting) for waiting in waits])


def waiting_answer(waiting: Waiting) -> WaitingAnswer:
    """Return a waiting deployment and its request as one flat answer."""
    deployment, request = waiting.deployment, waiting.request
    return WaitingAnswer(
        deployment=deployment.id,
        environment=deployment.environment,
        repository=deployment.repository.key,
        ref=deployment.ref,
        sha=request.sha,
        targets=list(request.targets),
        asked_by=who_answer(deployment),
        requested_at=request.requested_at,
        expires_at=request.expires_at,
        reason=deployment.reason,
        votes=[vote_answer(vote) for vote in waiting.votes],
        valid=list(waiting.count.voters),
        fallen=[FallenAnswer(subject=subject, why=why) for subject, why in waiting.count.fallen],
        missing=list(waiting.missing),
        may_vote=waiting.why_not is None,
        why_not=waiting.why_not,
    )


def waiting_json(waiting: Waiting) -> Json:
    """Spell a waiting deployment for `--json`: deployment and request whole, and `fallen` by subject."""
    return {
        "deployment": fields_json(waiting.deployment),
        "request": fields_json(waiting.request),
        "votes": [vote_json(vote) for vote in waiting.votes],
        "valid": list(waiting.count.voters),
        "fallen": dict(waiting.count.fallen),
        "missing": list(waiting.missing),
        "may_vote": waiting.why_not is None,
        "why_not": waiting.why_not,
    }
