"""Bodies and query parameters of `/api/v1`. A field that is not named here is refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from app.domain.approval import Verdict
from app.domain.deployment import State

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Comment = Annotated[str, Field(max_length=2000)]
Release = Annotated[
    str, Field(pattern=r"^[0-9a-fA-F-]{7,64}$", description="A deployment's id, or 7 or more digits of a commit.")
]
Reason = Annotated[str, Field(min_length=10, max_length=1000)]


class Body(BaseModel):
    """A body of JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)


class LinkBody(Body):
    """The caller's own forge account, proven by a token of it."""

    forge: Annotated[str, Field(min_length=1, max_length=63)]
    token: Annotated[str, Field(min_length=1, max_length=255)]


class VoteBody(Body):
    """A vote on a deployment that waits."""

    verdict: Verdict
    comment: Comment = ""


class OverrideBody(Body):
    """The purpose: why the deployment cannot wait."""

    purpose: Annotated[str, Field(min_length=10, max_length=2000)]


class RollbackBody(Body):
    """The release to bring back; null: the newest one with another commit than now."""

    release: Release | None


class CommentBody(Body):
    """A comment, which may be empty."""

    comment: Comment = ""


class RollbackProposal(Body):
    """Bring an earlier release back; null: the newest one with another commit than now."""

    kind: Literal["rollback"]
    environment: Name
    release: Release | None
    reason: Reason


class PolicyProposal(Body):
    """Change a file of policies: `text` is its whole new text."""

    kind: Literal["policy"]
    file: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,100}\.cedar$")]
    text: Annotated[str, Field(min_length=1, max_length=64 * 1024)]
    reason: Reason


class ProposalBody(RootModel[Annotated[RollbackProposal | PolicyProposal, Field(discriminator="kind")]]):
    """A proposal, for a person to decide."""


class Query(BaseModel):
    """Query parameters."""

    model_config = ConfigDict(extra="forbid")


class ApprovalsQuery(Query):
    """Narrows the list of approvals."""

    environment: Name | None = None


class DeploymentsQuery(Query):
    """Narrows the list of deployments."""

    environment: Name | None = None
    state: State | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class OverridesQuery(Query):
    """Narrows the list of overrides."""

    unreviewed: bool = False
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class ProposalsQuery(Query):
    """Narrows the list of proposals. `open`: only those that can still be decided or carried out."""

    open: bool = False
    limit: Annotated[int, Field(ge=1, le=200)] = 50
