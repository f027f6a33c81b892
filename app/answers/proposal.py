"""Answers about proposals: what agents and people propose, and what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from app.answers.answer import Answer, Json, to_json
from app.domain.proposal import Proposal, ProposalKind, ProposalState
from app.pipeline.approve.decide_proposal import apply_command

_ALIKE = ("id", "kind", "proposer", "reason", "state", "made_at", "expires_at", "environment", "file")
_DECIDED = ("decided_by", "decided_at", "comment")


class ProposalAnswer(Answer):
    """A proposal. `deployment` is what an accepted rollback became; `apply` is the command that an accepted policy awaits."""

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
    """A proposal with the whole text of a policy, and how that differs from the file in force (unified diff)."""

    text: str | None
    diff: str | None


class ProposalsAnswer(Answer):
    """Proposals, newest first."""

    proposals: list[ProposalAnswer]


def proposal_answer(proposal: Proposal, now: datetime) -> ProposalAnswer:
    """Tell of a proposal."""
    return ProposalAnswer(**_fields(proposal, now))


def proposal_json(proposal: Proposal) -> Json:
    """Spell what was decided for `--json`: every field but the text, `release_id` and `deployment_id` by those names."""
    spelled: Json = to_json(proposal)
    return {name: value for name, value in spelled.items() if name != "text"}


def proposals_answer(proposals: Iterable[Proposal], now: datetime) -> ProposalsAnswer:
    """List proposals."""
    return ProposalsAnswer(proposals=[proposal_answer(proposal, now) for proposal in proposals])


def listed_json(proposal: Proposal, now: datetime) -> Json:
    """Spell one of a list for `--json`."""
    return proposal_json(proposal) | {"expired": proposal.has_expired(now)}


def detail_answer(proposal: Proposal, now: datetime, diff: str | None) -> ProposalDetail:
    """Tell of a proposal with its text, and what that would change."""
    return ProposalDetail(**_fields(proposal, now), text=proposal.text, diff=diff)


def detail_json(proposal: Proposal, now: datetime, diff: str | None) -> Json:
    """Spell it for `--json`."""
    return listed_json(proposal, now) | {"text": proposal.text, "diff": diff}


def _fields(proposal: Proposal, now: datetime) -> dict[str, Any]:
    awaits = proposal.is_policy and proposal.state is ProposalState.ACCEPTED
    return {
        **{name: getattr(proposal, name) for name in (*_ALIKE, *_DECIDED)},
        "expired": proposal.has_expired(now),
        "release": proposal.release_id,
        "deployment": proposal.deployment_id,
        "apply": apply_command(proposal) if awaits else None,
    }
