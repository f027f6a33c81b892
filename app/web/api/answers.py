"""What `/api/v1` answers. Every view makes one of these, so its description (`openapi.py`) says what is really sent."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from app.domain.access import LinkedBy
from app.domain.approval import Verdict
from app.domain.decision import Effect
from app.domain.deployment import Stage, State, Trigger
from app.domain.finding import FindingKind
from app.domain.principal import PrincipalKind
from app.domain.proposal import ProposalKind, ProposalState
from app.web.people.callers import How


class Answer(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(BaseModel):
    """A problem document (RFC 9457); `title` is the error's code, `detail` says what is the matter."""

    type: str
    title: str
    status: int
    detail: str = ""


class LinkAnswer(Answer):
    """A forge account that stands for somebody."""

    forge: str
    account_id: str
    how: LinkedBy
    by: str
    at: datetime


class LinksAnswer(Answer):
    """The caller's linked accounts."""

    links: list[LinkAnswer]


class SessionAnswer(Answer):
    """The caller's sign-in."""

    id: str
    issuer: str
    signed_in_at: datetime
    mfa_at: datetime | None
    acr: str
    amr: list[str]
    address: str
    country: str


class TokenAnswer(Answer):
    """The caller's token."""

    issuer: str
    expires_at: datetime


class MeAnswer(Answer):
    """Who calls, and how the gate knows."""

    subject: str
    kind: PrincipalKind
    groups: list[str]
    accounts: list[LinkAnswer]
    how: How
    session: SessionAnswer | None
    csrf_token: str | None
    token: TokenAnswer | None


class VoteAnswer(Answer):
    """One person's word, given once."""

    id: str
    subject: str
    verdict: Verdict
    comment: str
    at: datetime


class FallenAnswer(Answer):
    """Somebody whose vote does not count any more, and why."""

    subject: str
    why: str


class WhoAnswer(Answer):
    """Who asks: the proven principal (null: not proven), and the account."""

    subject: str | None
    account: str
    login: str


class WaitingAnswer(Answer):
    """A deployment that waits for approvals. `missing` says whose yes it still takes; `why_not`: why the caller may not vote."""

    deployment: str
    environment: str
    repository: str
    ref: str
    sha: str
    targets: list[str]
    asked_by: WhoAnswer
    requested_at: datetime
    expires_at: datetime
    reason: str | None
    votes: list[VoteAnswer]
    valid: list[str] = Field(description="Whose votes count now.")
    fallen: list[FallenAnswer]
    missing: list[str]
    may_vote: bool
    why_not: str | None


class ApprovalsAnswer(Answer):
    """What waits now, oldest first."""

    approvals: list[WaitingAnswer]


class DeploymentAnswer(Answer):
    """A deployment."""

    id: str
    environment: str
    repository: str
    ref: str
    sha: str
    trigger: Trigger
    state: State
    reason: str | None
    purpose: str | None
    asked_by: WhoAnswer
    release: str | None
    created_at: datetime
    updated_at: datetime


class DeploymentsAnswer(Answer):
    """Deployments, newest first."""

    deployments: list[DeploymentAnswer]


class StageAnswer(Answer):
    """A stage that has run."""

    stage: Stage
    outcome: str
    started_at: datetime
    finished_at: datetime


class DecisionAnswer(Answer):
    """What policies said: to the deployment itself, or (`approval:…`) to somebody who voted."""

    at: datetime
    action: str
    actor: str
    effect: Effect
    policies: list[str]
    reason: str


class FindingAnswer(Answer):
    """What content inspection found."""

    kind: FindingKind
    where: str
    line: int | None
    what: str


class DeploymentDetail(DeploymentAnswer):
    """A deployment with what was decided, found and said. `waits` is there while it waits for approvals."""

    stages: list[StageAnswer]
    decisions: list[DecisionAnswer]
    findings: list[FindingAnswer]
    votes: list[VoteAnswer]
    waits: WaitingAnswer | None


class ReviewAnswer(Answer):
    """Another person's look at an override."""

    subject: str
    comment: str
    at: datetime


class OverrideAnswer(DeploymentAnswer):
    """An override, and who has reviewed it (null: nobody yet)."""

    review: ReviewAnswer | None


class OverridesAnswer(Answer):
    """Overrides, newest first."""

    overrides: list[OverrideAnswer]


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
