"""`/api/v1/deployments`, `/approvals` and rollbacks: what is deployed where and why, votes, cancelling, and going back."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from app.answers.approval import approvals_answer, vote_answer
from app.answers.deployment import deployment_answer, deployments_answer, detail_answer
from app.bootstrap import Process
from app.pipeline.approve.cancel import cancel
from app.pipeline.approve.override import override
from app.pipeline.approve.vote import vote
from app.pipeline.approve.waiting import waiting, waiting_one
from app.pipeline.line.rollback import rollback
from app.web.api.bodies import ApprovalsQuery, CommentBody, DeploymentsQuery, OverrideBody, RollbackBody, VoteBody
from app.web.api.read import answer, read_body, read_query
from app.web.people.callers import caller
from app.web.people.in_person import person_here, viewer

MOST_ENTRIES = 500


def add_routes(blueprint: Blueprint, process: Process) -> None:
    """Add these routes to the API."""

    @blueprint.get("/approvals")
    def approvals() -> Response:
        who, query = caller(process), read_query(ApprovalsQuery)
        return answer(approvals_answer(waiting(process.services, lambda: viewer(process, who), query.environment)))

    @blueprint.get("/deployments")
    def deployments() -> Response:
        caller(process)
        query = read_query(DeploymentsQuery)
        return answer(deployments_answer(process.reads.deployments(query.limit, query.environment, state=query.state)))

    @blueprint.get("/deployments/<uuid:deployment>")
    def deployment(deployment: UUID) -> Response:
        who = caller(process)
        view = process.reads.deployment(str(deployment))
        waits = waiting_one(process.services, lambda: viewer(process, who), view.deployment.id)
        entries = process.reads.audit(deployment_id=view.deployment.id, limit=MOST_ENTRIES)
        return answer(detail_answer(view, entries, waits))

    @blueprint.post("/deployments/<uuid:deployment>/votes")
    def give_vote(deployment: UUID) -> tuple[Response, int]:
        who, body = person_here(process), read_body(VoteBody)
        return answer(vote_answer(vote(process.services, str(deployment), who, body.verdict, body.comment))), 201

    @blueprint.post("/deployments/<uuid:deployment>/override")
    def make_override(deployment: UUID) -> tuple[Response, int]:
        who, body = person_here(process), read_body(OverrideBody)
        return answer(deployment_answer(override(process.services, str(deployment), who, body.purpose))), 201

    @blueprint.post("/deployments/<uuid:deployment>/cancel")
    def end(deployment: UUID) -> Response:
        who, body = person_here(process), read_body(CommentBody)
        return answer(deployment_answer(cancel(process.services, str(deployment), who.principal, body.comment)))

    @blueprint.post("/environments/<name>/rollback")
    def go_back(name: str) -> tuple[Response, int]:
        who, body = person_here(process), read_body(RollbackBody)
        return answer(deployment_answer(rollback(process.services, name, body.release, who.account))), 201
