"""`/api/v1/proposals`: what agents and people propose, and what a person says to it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response

from app.bootstrap import Process
from app.domain.proposal import LONGEST_TEXT, Proposal, ProposalState
from app.pipeline.approve.decide_proposal import accept, apply_command, reject
from app.pipeline.approve.propose import diff_of, proposal_named, propose_policy, propose_rollback
from app.web.api.answers import ProposalAnswer, ProposalDetail, ProposalsAnswer
from app.web.api.bodies import CommentBody, PolicyProposal, ProposalBody, ProposalsQuery
from app.web.api.read import answer, read_body, read_query
from app.web.people.callers import caller
from app.web.people.in_person import person_here

LARGEST = 4 * LONGEST_TEXT  # bytes: JSON spells some characters at length


def add_routes(blueprint: Blueprint, process: Process) -> None:
    """Add them to the API's room."""
    services = process.services

    @blueprint.get("/proposals")
    def proposals() -> Response:
        caller(process)
        asked, now = read_query(ProposalsQuery), process.clock.now()
        with services.store.reading() as unit:
            found = unit.proposals.newest(asked.limit, open_at=now if asked.open else None)
        return answer(ProposalsAnswer(proposals=[ProposalAnswer(**_told(process, each)) for each in found]))

    @blueprint.get("/proposals/<uuid:proposal>")
    def proposal(proposal: UUID) -> Response:
        caller(process)
        return answer(_detail(process, proposal_named(services, str(proposal))))

    @blueprint.post("/proposals")
    def propose() -> tuple[Response, int]:
        who, body = caller(process).principal, read_body(ProposalBody, LARGEST).root
        if isinstance(body, PolicyProposal):
            made = propose_policy(services, who, body.file, body.text, reason=body.reason)
        else:
            made = propose_rollback(services, who, body.environment, body.release, reason=body.reason)
        return answer(_detail(process, made)), 201

    @blueprint.post("/proposals/<uuid:proposal>/accept")
    def accept_proposal(proposal: UUID) -> Response:
        who, body = person_here(process), read_body(CommentBody)
        return answer(ProposalAnswer(**_told(process, accept(services, str(proposal), who, body.comment).proposal)))

    @blueprint.post("/proposals/<uuid:proposal>/reject")
    def reject_proposal(proposal: UUID) -> Response:
        who, body = person_here(process), read_body(CommentBody)
        return answer(ProposalAnswer(**_told(process, reject(services, str(proposal), who, body.comment))))


def _detail(process: Process, each: Proposal) -> ProposalDetail:
    return ProposalDetail(**_told(process, each), text=each.text, diff=diff_of(process.services.guard().policy, each))


def _told(process: Process, each: Proposal) -> dict[str, Any]:
    names = ("id", "kind", "proposer", "reason", "state", "made_at", "expires_at", "environment", "file")
    decided = ("decided_by", "decided_at", "comment")
    awaits = each.is_policy and each.state is ProposalState.ACCEPTED
    return {
        **{name: getattr(each, name) for name in (*names, *decided)},
        "expired": each.has_expired(process.clock.now()),
        "release": each.release_id,
        "deployment": each.deployment_id,
        "apply": apply_command(each) if awaits else None,
    }
