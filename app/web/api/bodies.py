"""What `/api/v1` takes: bodies, strict and whole, and parameters behind the `?`. What is not named here is refused."""

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
    """One's own forge account, by a token of it."""

    forge: Annotated[str, Field(min_length=1, max_length=63)]
    token: Annotated[str, Field(min_length=1, max_length=255)]


class VoteBody(Body):
    """One's word on a deployment that waits."""

    verdict: Verdict
    comment: Comment = ""


class OverrideBody(Body):
    """Why this cannot wait."""

    purpose: Annotated[str, Field(min_length=10, max_length=2000)]


class RollbackBody(Body):
    """Which release comes back; null: the newest one with another commit than now."""

    release: Release | None


class CommentBody(Body):
    """A comment, which may be empty."""

    comment: Comment = ""


class RollbackProposal(Body):
    """To bring an earlier release back; null: the newest one with another commit than now."""

    kind: Literal["rollback"]
    environment: Name
    release: Release | None
    reason: Reason


class PolicyProposal(Body):
    """To change a file of policies: its whole new text."""

    kind: Literal["policy"]
    file: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,100}\.cedar$")]
    text: Annotated[str, Field(min_length=1, max_length=64 * 1024)]
    reason: Reason


class ProposalBody(RootModel[Annotated[RollbackProposal | PolicyProposal, Field(discriminator="kind")]]):
    """Something that a person is to decide."""


class Query(BaseModel):
    """Parameters behind the `?`."""

    model_config = ConfigDict(extra="forbid")


class ApprovalsQuery(Query):
    """Which approvals."""

    environment: Name | None = None


class DeploymentsQuery(Query):
    """Which deployments, newest first."""

    environment: Name | None = None
    state: State | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class OverridesQuery(Query):
    """Which overrides, newest first."""

    unreviewed: bool = False
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class ProposalsQuery(Query):
    """Which proposals, newest first; open are those that may still come to something."""

    open: bool = False
    limit: Annotated[int, Field(ge=1, le=200)] = 50
