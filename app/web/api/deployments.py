"""`/api/v1/deployments` and going back: what is deployed where, why, and by whose word."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response

from app.bootstrap import Process
from app.domain.approval import Vote
from app.domain.audit import AuditEntry
from app.domain.deployment import Deployment, Stage, State
from app.pipeline.approve.override import override
from app.pipeline.approve.vote import vote
from app.pipeline.approve.waiting import Waiting, waiting, waiting_one
from app.pipeline.line.rollback import rollback
from app.store.reads import DeploymentView
from app.web.api.answers import (
    ApprovalsAnswer,
    DecisionAnswer,
    DeploymentAnswer,
    DeploymentDetail,
    DeploymentsAnswer,
    FallenAnswer,
    FindingAnswer,
    StageAnswer,
    VoteAnswer,
    WaitingAnswer,
    WhoAnswer,
)
from app.web.api.bodies import ApprovalsQuery, DeploymentsQuery, OverrideBody, RollbackBody, VoteBody
from app.web.api.read import answer, read_body, read_query
from app.web.people.callers import caller
from app.web.people.in_person import person_here, viewer

MOST_ENTRIES = 500


def add_routes(blueprint: Blueprint, process: Process) -> None:
    """Add them to the API's room."""

    @blueprint.get("/approvals")
    def approvals() -> Response:
        found, asked = caller(process), read_query(ApprovalsQuery)
        waits = waiting(process.services, lambda: viewer(process, found), asked.environment)
        return answer(ApprovalsAnswer(approvals=[waiting_answer(each) for each in waits]))

    @blueprint.get("/deployments")
    def deployments() -> Response:
        caller(process)
        asked = read_query(DeploymentsQuery)
        found = process.reads.deployments(asked.limit, asked.environment, state=asked.state)
        return answer(DeploymentsAnswer(deployments=[DeploymentAnswer(**deployment_answer(each)) for each in found]))

    @blueprint.get("/deployments/<uuid:deployment>")
    def deployment(deployment: UUID) -> Response:
        found = caller(process)
        view = process.reads.deployment(str(deployment))
        waits = waiting_one(process.services, lambda: viewer(process, found), view.deployment.id)
        entries = process.reads.audit(deployment_id=view.deployment.id, limit=MOST_ENTRIES)
        return answer(_detail(view, entries, waits))

    @blueprint.post("/deployments/<uuid:deployment>/votes")
    def give_vote(deployment: UUID) -> tuple[Response, int]:
        who, body = person_here(process), read_body(VoteBody)
        return answer(vote_answer(vote(process.services, str(deployment), who, body.verdict, body.comment))), 201

    @blueprint.post("/deployments/<uuid:deployment>/override")
    def make_override(deployment: UUID) -> tuple[Response, int]:
        who, body = person_here(process), read_body(OverrideBody)
        return answer(DeploymentAnswer(**deployment_answer(override(process.services, str(deployment), who, body.purpose)))), 201

    @blueprint.post("/environments/<name>/rollback")
    def go_back(name: str) -> tuple[Response, int]:
        who, body = person_here(process), read_body(RollbackBody)
        return answer(DeploymentAnswer(**deployment_answer(rollback(process.services, name, body.release, who.account)))), 201


def deployment_answer(each: Deployment) -> dict[str, Any]:
    """List the fields of a deployment's answer."""
    return {
        "id": each.id,
        "environment": each.environment,
        "repository": each.repository.key,
        "ref": each.ref,
        "sha": each.sha,
        "trigger": each.trigger,
        "state": each.state,
        "reason": each.reason,
        "purpose": each.purpose,
        "asked_by": _who(each),
        "release": each.release_id,
        "created_at": each.created_at,
        "updated_at": each.updated_at,
    }


def vote_answer(each: Vote) -> VoteAnswer:
    """Tell a vote."""
    return VoteAnswer(id=each.id, subject=each.subject, verdict=each.verdict, comment=each.comment, at=each.at)


def waiting_answer(each: Waiting) -> WaitingAnswer:
    """Tell what waits."""
    deployment, request = each.deployment, each.request
    return WaitingAnswer(
        deployment=deployment.id,
        environment=deployment.environment,
        repository=deployment.repository.key,
        ref=deployment.ref,
        sha=request.sha,
        targets=list(request.targets),
        asked_by=_who(deployment),
        requested_at=request.requested_at,
        expires_at=request.expires_at,
        reason=deployment.reason,
        votes=[vote_answer(vote) for vote in each.votes],
        valid=list(each.count.voters),
        fallen=[FallenAnswer(subject=subject, why=why) for subject, why in each.count.fallen],
        missing=list(each.missing),
        may_vote=each.why_not is None,
        why_not=each.why_not,
    )


def _who(each: Deployment) -> WhoAnswer:
    return WhoAnswer(subject=each.principal, account=each.actor.key, login=each.actor.login)


def _detail(view: DeploymentView, entries: list[AuditEntry], waits: Waiting | None) -> DeploymentDetail:
    identified = next((stage.detail for stage in view.stages if stage.stage is Stage.VALIDATE_IDENTITY), {})
    return DeploymentDetail(
        **deployment_answer(view.deployment),
        stages=[
            StageAnswer(stage=s.stage, outcome=s.outcome, started_at=s.started_at, finished_at=s.finished_at) for s in view.stages
        ],
        decisions=[_decision(entry) for entry in entries if "effect" in entry.detail],
        findings=[FindingAnswer(**finding) for finding in identified.get("findings", [])],
        votes=[vote_answer(vote) for vote in view.votes],
        waits=waiting_answer(waits) if waits is not None and view.deployment.state is State.HELD else None,
    )


def _decision(entry: AuditEntry) -> DecisionAnswer:
    detail = entry.detail
    return DecisionAnswer(
        at=entry.at,
        action=entry.action,
        actor=entry.actor,
        effect=detail["effect"],
        policies=detail["policies"],
        reason=detail.get("reason") or detail.get("comment") or "",
    )
