"""`/api/v1/overrides`: deployments in spite of the rules, and their reviews."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from app.answers.override import overrides_answer, review_answer
from app.bootstrap import Process
from app.pipeline.approve.review import review
from app.web.api.bodies import CommentBody, OverridesQuery
from app.web.api.read import answer, read_body, read_query
from app.web.api.reading import hiding_deployment, reader
from app.web.people.in_person import person_here


def add_routes(blueprint: Blueprint, process: Process) -> None:
    """Add these routes to the API."""

    @blueprint.get("/overrides")
    def overrides() -> Response:
        query, reads = read_query(OverridesQuery), reader(process)
        listed = process.reads.overrides(query.limit, unreviewed=query.unreviewed, without=reads.hidden())
        return answer(overrides_answer(view for view in listed if reads.reads(view.deployment)))

    @blueprint.post("/overrides/<uuid:deployment>/review")
    def review_override(deployment: UUID) -> tuple[Response, int]:
        who, body = person_here(process), read_body(CommentBody)
        with hiding_deployment(process, str(deployment)):
            entry = review(process.services, str(deployment), who, body.comment)
        return answer(review_answer(entry)), 201
