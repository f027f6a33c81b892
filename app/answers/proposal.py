"""Answers about proposals of agents and people, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from app.answers.answer import Answer, Json, fields_json
from app.domain.proposal import Proposal, ProposalKind, ProposalState
from app.pipeline.approve.decide_proposal import apply_command

_PROPOSED = ("id", "kind", "proposer", "reason", "state", "made_at", "expires_at", "environment", "file")
_DECIDED = ("decided_by", "decided_at", "comment")


class ProposalAnswer(Answer):
    """A proposal. `deployment`: what an accepted rollback started. `apply`: the command that an accepted policy waits for."""

    id: str
    kind: ProposalKind
    proposer: str
    reason: str
    state: ProposalState
    expired: bool
    made_at: datetime
    expires_at: datetime
    environment: str | None
    release: str | None
    file: str | None
    decided_by: str | None
    decided_at: datetime | None
    comment: str
    deployment: str | None
    apply: str | None


class ProposalDetail(ProposalAnswer):
    """A proposal with the text of a policy and its unified diff to the file in force, which only readers of policies see."""

    text: str | None
    diff: str | None


class ProposalsAnswer(Answer):
    """Proposals, newest first."""

    proposals: list[ProposalAnswer]


def proposal_answer(proposal: Proposal, now: datetime) -> ProposalAnswer:
    """Return a proposal."""
    return ProposalAnswer(**_fields(proposal, now))


def proposal_json(proposal: Proposal) -> Json:
    """Spell a proposal for `--json`: every field but the text, under the names `release_id` and `deployment_id`."""
    return {name: value for name, value in fields_json(proposal).items() if name != "text"}


def proposals_answer(proposals: Iterable[Proposal], now: datetime) -> ProposalsAnswer:
    """List proposals."""
    return ProposalsAnswer(proposals=[proposal_answer(proposal, now) for proposal in proposals])


def listed_json(proposal: Proposal, now: datetime) -> Json:
    """Spell a proposal of a list for `--json`."""
    return proposal_json(proposal) | {"expired": proposal.has_expired(now)}


def detail_answer(proposal: Proposal, now: datetime, diff: str | None) -> ProposalDetail:
    """Return a proposal with its text, and what the text would change."""
    return ProposalDetail(**_fields(proposal, now), text=proposal.text, diff=diff)


def detail_json(proposal: Proposal, now: datetime, diff: str | None) -> Json:
    """Spell a proposal with its text for `--json`."""
    return listed_json(proposal, now) | {"text": proposal.text, "diff": diff}


def _fields(proposal: Proposal, now: datetime) -> dict[str, Any]:
    is_to_apply = proposal.is_policy and proposal.state is ProposalState.ACCEPTED
    return {
        **{name: getattr(proposal, name) for name in (*_PROPOSED, *_DECIDED)},
        "expired": proposal.has_expired(now),
        "release": proposal.release_id,
        "deployment": proposal.deployment_id,
        "apply": apply_command(proposal) if is_to_apply else None,
    }
