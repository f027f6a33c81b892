"""`/api/v1/overrides`: what was deployed in spite of the rules, and who has looked at it afterwards."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from app.bootstrap import Process
from app.pipeline.approve.override import review
from app.store.reads import OverrideView
from app.web.api.answers import OverrideAnswer, OverridesAnswer, ReviewAnswer
from app.web.api.bodies import CommentBody, OverridesQuery
from app.web.api.deployments import deployment_answer
from app.web.api.read import answer, read_body, read_query
from app.web.people.callers import caller
from app.web.people.in_person import person_here


def add_routes(blueprint: Blueprint, process: Process) -> None:
    """Add them to the API's room."""

    @blueprint.get("/overrides")
    def overrides() -> Response:
        caller(process)
        asked = read_query(OverridesQuery)
        found = process.reads.overrides(asked.limit, unreviewed=asked.unreviewed)
        return answer(OverridesAnswer(overrides=[_told(each) for each in found]))

    @blueprint.post("/overrides/<uuid:deployment>/review")
    def review_override(deployment: UUID) -> tuple[Response, int]:
        who, body = person_here(process), read_body(CommentBody)
        made = review(process.services, str(deployment), who, body.comment)
        return answer(ReviewAnswer(subject=made.actor, comment=made.detail["comment"], at=made.at)), 201


def _told(each: OverrideView) -> OverrideAnswer:
    found = each.review
    review = ReviewAnswer(subject=found.subject, comment=found.comment, at=found.at) if found is not None else None
    return OverrideAnswer(**deployment_answer(each.deployment), review=review)
