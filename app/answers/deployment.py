"""Answers about deployments: what is deployed where and why, and who decided it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from app.answers.answer import Answer, Json, fields_json
from app.answers.approval import VoteAnswer, WaitingAnswer, vote_answer, waiting_answer
from app.answers.audit import entries_json
from app.answers.people import WhoAnswer, who_answer
from app.domain.audit import AuditEntry
from app.domain.decision import Effect
from app.domain.deployment import Deployment, Stage, State, Trigger
from app.domain.finding import FindingKind
from app.pipeline.approve.waiting import Waiting
from app.store.reads import DeploymentView


class DeploymentAnswer(Answer):
    """A deployment."""

    id: str
    environment: str
    repository: str
    ref: str
    sha: str
    trigger: Trigger
    state: State
    reason: str | None
    purpose: str | None
    asked_by: WhoAnswer
    release: str | None
    created_at: datetime
    updated_at: datetime


class DeploymentsAnswer(Answer):
    """Deployments, newest first."""

    deployments: list[DeploymentAnswer]


class StageAnswer(Answer):
    """A stage that has run."""

    stage: Stage
    outcome: str
    started_at: datetime
    finished_at: datetime


class DecisionAnswer(Answer):
    """A decision of the policies: about the deployment itself, or (`approval:…`) about a voter."""

    at: datetime
    action: str
    actor: str
    effect: Effect
    policies: list[str]
    reason: str


class FindingAnswer(Answer):
    """A finding of content inspection."""

    kind: FindingKind
    where: str
    line: int | None
    what: str


class DeploymentDetail(DeploymentAnswer):
    """A deployment with its stages, decisions, findings and votes. `waits` is set while it waits for approvals."""

    stages: list[StageAnswer]
    decisions: list[DecisionAnswer]
    findings: list[FindingAnswer]
    votes: list[VoteAnswer]
    waits: WaitingAnswer | None


def deployment_answer(deployment: Deployment) -> DeploymentAnswer:
    """Return a deployment: repository and account by their keys, the earlier release as `release`."""
    return DeploymentAnswer(**deployment_fields(deployment))


def deployment_json(deployment: Deployment) -> Json:
    """Spell a deployment for `--json`: every field, repository and account whole, the earlier release as `release_id`."""
    return fields_json(deployment)


def deployments_answer(deployments: Iterable[Deployment]) -> DeploymentsAnswer:
    """List deployments."""
    return DeploymentsAnswer(deployments=[deployment_answer(deployment) for deployment in deployments])


def detail_answer(view: DeploymentView, entries: Sequence[AuditEntry], waiting: Waiting | None) -> DeploymentDetail:
    """Return all that the API tells about a deployment, with decisions and findings in lists of their own."""
    is_held = view.deployment.state is State.HELD
    return DeploymentDetail(
        **deployment_fields(view.deployment),
        stages=[
            StageAnswer(stage=s.stage, outcome=s.outcome, started_at=s.started_at, finished_at=s.finished_at) for s in view.stages
        ],
        decisions=[decision_answer(entry) for entry in entries if "effect" in entry.detail],
        findings=[FindingAnswer(**finding) for finding in view.evidence.get("findings", [])],
        votes=[vote_answer(vote) for vote in view.votes],
        waits=waiting_answer(waiting) if waiting is not None and is_held else None,
    )


def detail_json(view: DeploymentView, entries: Sequence[AuditEntry]) -> Json:
    """Spell a deployment whole for `--json`: stages and votes as they are stored, dispatches, and the audit trail."""
    return fields_json(view) | {"audit": entries_json(entries)}


def decision_answer(entry: AuditEntry) -> DecisionAnswer:
    """Return a decision, as its audit entry records it."""
    detail = entry.detail
    return DecisionAnswer(
        at=entry.at,
        action=entry.action,
        actor=entry.actor,
        effect=detail["effect"],
        policies=detail["policies"],
        reason=detail.get("reason") or detail.get("comment") or "",
    )


def deployment_fields(deployment: Deployment) -> dict[str, Any]:
    """List the fields of a deployment's answer, for answers that have more."""
    return {
        "id": deployment.id,
        "environment": deployment.environment,
        "repository": deployment.repository.key,
        "ref": deployment.ref,
        "sha": deployment.sha,
        "trigger": deployment.trigger,
        "state": deployment.state,
        "reason": deployment.reason,
        "purpose": deployment.purpose,
        "asked_by": who_answer(deployment),
        "release": deployment.release_id,
        "created_at": deployment.created_at,
        "updated_at": deployment.updated_at,
    }
