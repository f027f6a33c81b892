"""Show a caller only what it may read. What it may not read is answered like what does not exist, also if an act is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from app.bootstrap import Process
from app.domain.errors import Forbidden, NotAllowed, NotFound
from app.domain.proposal import Proposal
from app.pipeline.approve.propose import proposal_named
from app.pipeline.ask.reader import Reader
from app.store.reads import DeploymentView
from app.web.people.callers import caller


def reader(process: Process) -> Reader:
    """Return the caller of this request as one who reads."""
    who = caller(process)
    return Reader(process.services, process.services.guard(), who.principal, who.session)


def readable_deployment(process: Process, deployment_id: str) -> DeploymentView:
    """Return a deployment that the caller may read; raises NotFound."""
    view = process.reads.deployment(deployment_id)
    if not reader(process).reads(view.deployment):
        raise NotFound(f"no deployment is named {deployment_id}")
    return view


def readable_proposal(process: Process, proposal_id: str) -> Proposal:
    """Return a proposal that the caller may read; raises NotFound."""
    proposal = proposal_named(process.services, proposal_id)
    if not reader(process).reads_proposal(proposal):
        raise NotFound(f"no proposal is named {proposal_id}")
    return proposal


@contextmanager
def hiding_deployment(process: Process, deployment_id: str) -> Iterator[None]:
    """Answer a refused act on a deployment that the caller may not read as if it did not exist."""
    try:
        yield
    except (Forbidden, NotAllowed, NotFound):
        readable_deployment(process, deployment_id)
        raise


@contextmanager
def hiding_proposal(process: Process, proposal_id: str) -> Iterator[None]:
    """Answer a refused act on a proposal that the caller may not read as if it did not exist."""
    try:
        yield
    except (Forbidden, NotAllowed, NotFound):
        readable_proposal(process, proposal_id)
        raise


@contextmanager
def hiding_environment(process: Process, name: str) -> Iterator[None]:
    """Answer a refused act in an environment that the caller may not read as if it did not exist."""
    try:
        yield
    except (Forbidden, NotAllowed, NotFound):
        if not reader(process).reads_environment(name):
            raise NotFound(f"there is no environment {name}") from None
        raise
