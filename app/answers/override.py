"""Answers about overrides and their reviews."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from app.answers.answer import Answer, Json, fields_json
from app.answers.audit import entry_json
from app.answers.deployment import DeploymentAnswer, deployment_fields
from app.domain.audit import AuditEntry
from app.store.reads import OverrideView


class ReviewAnswer(Answer):
    """Another person's review of an override."""

    subject: str
    comment: str
    at: datetime


class OverrideAnswer(DeploymentAnswer):
    """An override with its review (null: not reviewed yet)."""

    review: ReviewAnswer | None


class OverridesAnswer(Answer):
    """Overrides, newest first."""

    overrides: list[OverrideAnswer]


def override_answer(view: OverrideView) -> OverrideAnswer:
    """Return an override: the fields of its deployment, with the review beside them."""
    stored = view.review
    review = ReviewAnswer(subject=stored.subject, comment=stored.comment, at=stored.at) if stored is not None else None
    return OverrideAnswer(**deployment_fields(view.deployment), review=review)


def override_json(view: OverrideView) -> Json:
    """Spell an override for `--json`: the deployment under `deployment`, the review beside it."""
    return fields_json(view)


def overrides_answer(views: Iterable[OverrideView]) -> OverridesAnswer:
    """List overrides."""
    return OverridesAnswer(overrides=[override_answer(view) for view in views])


def review_answer(entry: AuditEntry) -> ReviewAnswer:
    """Return a review, as its audit entry records it."""
    return ReviewAnswer(subject=entry.actor, comment=entry.detail["comment"], at=entry.at)


def review_json(entry: AuditEntry) -> Json:
    """Spell a review for `--json`: the whole audit entry."""
    return entry_json(entry)
