"""Answers about overrides, and about who has looked at them afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from app.answers.answer import Answer, Json, to_json
from app.answers.audit import entry_json
from app.answers.deployment import DeploymentAnswer, deployment_fields
from app.domain.audit import AuditEntry
from app.store.reads import OverrideView


class ReviewAnswer(Answer):
    """Another person's look at an override."""

    subject: str
    comment: str
    at: datetime


class OverrideAnswer(DeploymentAnswer):
    """An override, and who has reviewed it (null: nobody yet)."""

    review: ReviewAnswer | None


class OverridesAnswer(Answer):
    """Overrides, newest first."""

    overrides: list[OverrideAnswer]


def override_answer(view: OverrideView) -> OverrideAnswer:
    """Tell of an override: a deployment with its review, flat."""
    review = view.review
    seen = ReviewAnswer(subject=review.subject, comment=review.comment, at=review.at) if review is not None else None
    return OverrideAnswer(**deployment_fields(view.deployment), review=seen)


def override_json(view: OverrideView) -> Json:
    """Spell it for `--json`: the deployment under `deployment`, the review beside it."""
    spelled: Json = to_json(view)
    return spelled


def overrides_answer(views: Iterable[OverrideView]) -> OverridesAnswer:
    """List overrides."""
    return OverridesAnswer(overrides=[override_answer(view) for view in views])


def review_answer(entry: AuditEntry) -> ReviewAnswer:
    """Tell of a review by its audit entry."""
    return ReviewAnswer(subject=entry.actor, comment=entry.detail["comment"], at=entry.at)


def review_json(entry: AuditEntry) -> Json:
    """Spell it for `--json`: the whole audit entry."""
    return entry_json(entry)
