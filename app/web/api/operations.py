"""All operations of `/api/v1`, in one table. Its description is made from this table and the models (`openapi.py`)."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel

from app.answers import approval, deployment, override, people, proposal, push
from app.web.api import bodies, decide_bodies
from app.web.people.protect import Needs

UNIVERSAL = (400, 401, 403, 429, 500, 503)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `problems` are its own statuses, beside those of every operation."""

    method: str
    path: str
    name: str
    summary: str
    answer: type[BaseModel] | None
    needs: Needs = Needs.CALLER
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    status: int = 200
    problems: tuple[int, ...] = ()


WRITING = (404, 409, 413, 415)

ACCOUNT = (
    Operation("get", "/me", "whoAmI", "The caller, and the session's CSRF token.", people.MeAnswer),
    Operation("get", "/links", "listLinks", "The caller's linked forge accounts.", people.LinksAnswer),
    Operation(
        "post",
        "/links",
        "linkAccount",
        "Link the caller's own forge account by a token of it, which is used once. Needs a fresh sign-in.",
        people.LinkAnswer,
        needs=Needs.PERSON,
        body=bodies.LinkBody,
        status=201,
        problems=WRITING,
    ),
    Operation(
        "delete",
        "/links/{forge}/{account_id}",
        "unlinkAccount",
        "Remove a link that the caller made. Needs a fresh sign-in.",
        None,
        needs=Needs.PERSON,
        status=204,
        problems=(404,),
    ),
)
DEPLOYMENTS = (
    Operation(
        "get",
        "/approvals",
        "listApprovals",
        "Deployments that wait for approvals now, and whether the caller may vote.",
        approval.ApprovalsAnswer,
        query=bodies.ApprovalsQuery,
        problems=(404,),
    ),
    Operation(
        "get",
        "/deployments",
        "listDeployments",
        "Deployments, newest first.",
        deployment.DeploymentsAnswer,
        query=bodies.DeploymentsQuery,
    ),
    Operation(
        "get",
        "/deployments/{deployment}",
        "showDeployment",
        "A deployment with its decisions, findings and votes.",
        deployment.DeploymentDetail,
        problems=(404,),
    ),
    Operation(
        "post",
        "/deployments/{deployment}/votes",
        "vote",
        "Approve or reject a deployment that waits. A vote cannot be changed.",
        approval.VoteAnswer,
        needs=Needs.PERSON,
        body=bodies.VoteBody,
        status=201,
        problems=WRITING,
    ),
    Operation(
        "post",
        "/deployments/{deployment}/override",
        "override",
        "Deploy despite a hold or a denial. Needs a fresh second factor and the right `override`.",
        deployment.DeploymentAnswer,
        needs=Needs.PERSON,
        body=bodies.OverrideBody,
        status=201,
        problems=WRITING,
    ),
    Operation(
        "post",
        "/deployments/{deployment}/cancel",
        "cancel",
        "End a deployment that is not dispatched yet. Needs the right `cancel`.",
        deployment.DeploymentAnswer,
        needs=Needs.PERSON,
        body=bodies.CommentBody,
        problems=WRITING,
    ),
    Operation(
        "post",
        "/environments/{name}/rollback",
        "rollBack",
        "Deploy an earlier release again, as the caller's own act. Needs the right `rollback`.",
        deployment.DeploymentAnswer,
        needs=Needs.PERSON,
        body=bodies.RollbackBody,
        status=201,
        problems=WRITING,
    ),
)
OVERRIDES = (
    Operation(
        "get", "/overrides", "listOverrides", "Overrides, newest first.", override.OverridesAnswer, query=bodies.OverridesQuery
    ),
    Operation(
        "post",
        "/overrides/{deployment}/review",
        "reviewOverride",
        "Record the caller's review of another person's override. Needs the right `review`.",
        override.ReviewAnswer,
        needs=Needs.PERSON,
        body=bodies.CommentBody,
        status=201,
        problems=WRITING,
    ),
)
PROPOSALS = (
    Operation(
        "get", "/proposals", "listProposals", "Proposals, newest first.", proposal.ProposalsAnswer, query=bodies.ProposalsQuery
    ),
    Operation(
        "post",
        "/proposals",
        "propose",
        "Propose a rollback or a change of policies, for a person to decide. Agents may propose, too.",
        proposal.ProposalDetail,
        needs=Needs.INTENT,
        body=bodies.ProposalBody,
        status=201,
        problems=WRITING,
    ),
    Operation(
        "get",
        "/proposals/{proposal}",
        "showProposal",
        "A proposal with its text and what it would change.",
        proposal.ProposalDetail,
        problems=(404,),
    ),
    Operation(
        "post",
        "/proposals/{proposal}/accept",
        "acceptProposal",
        "Accept a proposal. A rollback becomes the caller's own act; a policy (right `change-policies`) can then be applied.",
        proposal.ProposalAnswer,
        needs=Needs.PERSON,
        body=bodies.CommentBody,
        problems=WRITING,
    ),
    Operation(
        "post",
        "/proposals/{proposal}/reject",
        "rejectProposal",
        "Reject a proposal. Needs the same right as accepting it.",
        proposal.ProposalAnswer,
        needs=Needs.PERSON,
        body=bodies.CommentBody,
        problems=WRITING,
    ),
)
DESCRIPTION = (Operation("get", "/openapi.json", "describe", "This description.", None, needs=Needs.NOBODY),)
PUSHES = (
    Operation(
        "post",
        "/decide",
        "decide",
        "Decide whether the forge may take a push.",
        push.DecideAnswer,
        needs=Needs.INSTANCE,
        body=decide_bodies.DecideRequest,
        problems=(413, 415),
    ),
    Operation(
        "post",
        "/decide/known",
        "listKnownCommits",
        "Tell the check which of these commits the gate vouches for. It takes a form, and answers in lines.",
        None,
        needs=Needs.INSTANCE,
        problems=(413,),
    ),
)
OPERATIONS = (*PUSHES, *ACCOUNT, *DEPLOYMENTS, *OVERRIDES, *PROPOSALS, *DESCRIPTION)
