"""`/api/v1/proposals`: proposals of agents and people, and the decisions about them."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint, Response

from app.answers.proposal import ProposalDetail, detail_answer, proposal_answer, proposals_answer
from app.bootstrap import Process
from app.domain.proposal import LONGEST_TEXT, Proposal
from app.pipeline.approve.decide_proposal import accept, reject
from app.pipeline.approve.propose import diff_of, propose_policy, propose_rollback
from app.web.api.bodies import CommentBody, PolicyProposal, ProposalBody, ProposalsQuery
from app.web.api.read import answer, read_body, read_query
from app.web.api.reading import hiding_proposal, readable_proposal, reader
from app.web.people.callers import caller
from app.web.people.in_person import person_here

MOST_LISTED = 200
LARGEST = 4 * LONGEST_TEXT  # bytes: JSON spells some characters at length


def add_routes(blueprint: Blueprint, process: Process) -> None:
    """Add these routes to the API."""
    services = process.services

    @blueprint.get("/proposals")
    def proposals() -> Response:
        query, reads, now = read_query(ProposalsQuery), reader(process), process.clock.now()
        with services.store.reading() as unit:
            newest = unit.proposals.newest(MOST_LISTED, open_at=now if query.open else None)
        return answer(proposals_answer(list(filter(reads.reads_proposal, newest))[: query.limit], now))

    @blueprint.get("/proposals/<uuid:proposal>")
    def proposal(proposal: UUID) -> Response:
        return answer(_detail(process, readable_proposal(process, str(proposal))))

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
        with hiding_proposal(process, str(proposal)):
            accepted = accept(services, str(proposal), who, body.comment).proposal
        return answer(proposal_answer(accepted, process.clock.now()))

    @blueprint.post("/proposals/<uuid:proposal>/reject")
    def reject_proposal(proposal: UUID) -> Response:
        who, body = person_here(process), read_body(CommentBody)
        with hiding_proposal(process, str(proposal)):
            rejected = reject(services, str(proposal), who, body.comment)
        return answer(proposal_answer(rejected, process.clock.now()))


def _detail(process: Process, proposal: Proposal) -> ProposalDetail:
    """Describe a proposal. The difference holds the file in force, so a caller sees it who reads more than own proposals."""
    policy = process.services.guard().policy
    diff = diff_of(policy, proposal) if reader(process).reads_policies() else None
    return detail_answer(proposal, process.clock.now(), diff)
