"""`/api/v1/proposals`: proposals of agents and people, and the decisions about them."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from app.answers.proposal import ProposalDetail, detail_answer, proposal_answer, proposals_answer
from app.bootstrap import Process
from app.domain.proposal import LONGEST_TEXT, Proposal
from app.pipeline.approve.decide_proposal import accept, reject
from app.pipeline.approve.propose import diff_of, proposal_named, propose_policy, propose_rollback
from app.web.api.bodies import CommentBody, PolicyProposal, ProposalBody, ProposalsQuery
from app.web.api.read import answer, read_body, read_query
from app.web.people.callers import caller
from app.web.people.in_person import person_here

LARGEST = 4 * LONGEST_TEXT  # bytes: JSON spells some characters at length


def add_routes(blueprint: Blueprint, process: Process) -> None:
    """Add these routes to the API."""
    services = process.services

    @blueprint.get("/proposals")
    def proposals() -> Response:
        caller(process)
        query, now = read_query(ProposalsQuery), process.clock.now()
        with services.store.reading() as unit:
            newest = unit.proposals.newest(query.limit, open_at=now if query.open else None)
        return answer(proposals_answer(newest, now))

    @blueprint.get("/proposals/<uuid:proposal>")
    def proposal(proposal: UUID) -> Response:
        caller(process)
        return answer(_detail(process, proposal_named(services, str(proposal))))

    @blueprint.post("/proposals")
    def propose() -> tuple[Response, int]:
        who, body = caller(process).principal, read_body(ProposalBody, LARGEST).root
        if isinstance(body, PolicyProposal):
            proposal = propose_policy(services, who, body.file, body.text, reason=body.reason)
        else:
            proposal = propose_rollback(services, who, body.environment, body.release, reason=body.reason)
        return answer(_detail(process, proposal)), 201

    @blueprint.post("/proposals/<uuid:proposal>/accept")
    def accept_proposal(proposal: UUID) -> Response:
        who, body = person_here(process), read_body(CommentBody)
        accepted = accept(services, str(proposal), who, body.comment).proposal
        return answer(proposal_answer(accepted, process.clock.now()))

    @blueprint.post("/proposals/<uuid:proposal>/reject")
    def reject_proposal(proposal: UUID) -> Response:
        who, body = person_here(process), read_body(CommentBody)
        return answer(proposal_answer(reject(services, str(proposal), who, body.comment), process.clock.now()))


def _detail(process: Process, proposal: Proposal) -> ProposalDetail:
    return detail_answer(proposal, process.clock.now(), diff_of(process.services.guard().policy, proposal))
