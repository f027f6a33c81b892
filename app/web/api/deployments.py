"""`/api/v1/deployments`, `/approvals` and rollbacks: what is deployed where and why, votes, cancelling, and going back."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from app.answers.approval import approvals_answer, vote_answer
from app.answers.deployment import deployment_answer, deployments_answer, detail_answer
from app.bootstrap import Process
from app.domain.errors import NotFound
from app.pipeline.approve.cancel import cancel
from app.pipeline.approve.override import override
from app.pipeline.approve.vote import vote
from app.pipeline.approve.waiting import waiting, waiting_one
from app.pipeline.line.rollback import rollback
from app.web.api.bodies import ApprovalsQuery, CommentBody, DeploymentsQuery, OverrideBody, RollbackBody, VoteBody
from app.web.api.read import answer, read_body, read_query
from app.web.api.reading import hiding_deployment, hiding_environment, readable_deployment, reader
from app.web.people.callers import caller
from app.web.people.in_person import person_here, viewer

MOST_ENTRIES = 500


def add_routes(blueprint: Blueprint, process: Process) -> None:
    """Add these routes to the API."""

    @blueprint.get("/approvals")
    def approvals() -> Response:
        who, query, reads = caller(process), read_query(ApprovalsQuery), reader(process)
        if query.environment is not None and not reads.reads_environment(query.environment):
            raise NotFound(f"there is no environment {query.environment}")
        listed = waiting(process.services, lambda: viewer(process, who), query.environment, reads.reads)
        return answer(approvals_answer(listed))

    @blueprint.get("/deployments")
    def deployments() -> Response:
        query, reads = read_query(DeploymentsQuery), reader(process)
        listed = process.reads.deployments(query.limit, query.environment, state=query.state, without=reads.hidden())
        return answer(deployments_answer(filter(reads.reads, listed)))

    @blueprint.get("/deployments/<uuid:deployment>")
    def deployment(deployment: UUID) -> Response:
        who = caller(process)
        view = readable_deployment(process, str(deployment))
        waits = waiting_one(process.services, lambda: viewer(process, who), view.deployment.id)
        entries = process.reads.audit(deployment_id=view.deployment.id, limit=MOST_ENTRIES)
        return answer(detail_answer(view, entries, waits))

    @blueprint.post("/deployments/<uuid:deployment>/votes")
    def give_vote(deployment: UUID) -> tuple[Response, int]:
        who, body = person_here(process), read_body(VoteBody)
        with hiding_deployment(process, str(deployment)):
            given = vote(process.services, str(deployment), who, body.verdict, body.comment)
        return answer(vote_answer(given)), 201

    @blueprint.post("/deployments/<uuid:deployment>/override")
    def make_override(deployment: UUID) -> tuple[Response, int]:
        who, body = person_here(process), read_body(OverrideBody)
        with hiding_deployment(process, str(deployment)):
            made = override(process.services, str(deployment), who, body.purpose)
        return answer(deployment_answer(made)), 201

    @blueprint.post("/deployments/<uuid:deployment>/cancel")
    def end(deployment: UUID) -> Response:
        who, body = person_here(process), read_body(CommentBody)
        with hiding_deployment(process, str(deployment)):
            ended = cancel(process.services, str(deployment), who.principal, body.comment, session=who.session)
        return answer(deployment_answer(ended))

    @blueprint.post("/environments/<name>/rollback")
    def go_back(name: str) -> tuple[Response, int]:
        who, body = person_here(process), read_body(RollbackBody)
        with hiding_environment(process, name):
            made = rollback(process.services, name, body.release, who.account, who.session)
        return answer(deployment_answer(made)), 201
