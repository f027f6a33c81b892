"""A line over real git, with pushes, tags and checks as a forge makes them; and what stage 1 found."""

from __future__ import annotations

from typing import Any

from app.domain.deployment import Deployment, Stage, State
from app.domain.event import Account, Event, EventKind
from app.domain.push import CheckedPush
from tests.integrations.repositories.test_mirror import MAIN, Origin
from tests.pipeline.conftest import ALICE, REPOSITORY, Line


def push(line: Line, before: str | None, sha: str, ref: str = MAIN, actor: Account = ALICE) -> Deployment:
    """Deliver a push of a deployed branch or a tag; return its deployment."""
    kind = EventKind.PUSH if ref.startswith("refs/heads/") else EventKind.TAG
    (made,) = line.deliver(Event(kind, REPOSITORY, ref, before, sha, actor))
    return made


def push_aside(line: Line, before: str | None, sha: str, ref: str, actor: Account) -> None:
    """Deliver a push of a branch that no environment deploys."""
    assert line.deliver(Event(EventKind.PUSH, REPOSITORY, ref, before, sha, actor)) == []


def released(line: Line, made: Deployment) -> Deployment:
    """Run a deployment to its success."""
    ended = line.run(made)
    assert ended.state is State.SUCCEEDED, ended.reason
    return ended


def found(line: Line, made: Deployment) -> dict[str, Any]:
    """Run stage 1, and return the evidence."""
    line.run(made, last=Stage.VALIDATE_IDENTITY)
    result = line.result(made, Stage.VALIDATE_IDENTITY)
    assert result is not None, line.now(made).reason
    return result.detail


def check(line: Line, sha: str, *bases: str, ref: str = MAIN, old: str | None = None, account: str = "gogs:2") -> None:
    """Keep that a check let `ref` be set to `sha`, and looked at what is in none of `bases`."""
    came_from = old if old is not None else (bases[0] if bases else "0" * 40)
    fields = (REPOSITORY.forge, REPOSITORY.id, ref, sha, line.services.ids.new(), line.clock.now(), came_from, account, bases)
    with line.services.store.unit() as unit:
        unit.pushes.keep([CheckedPush(*fields)])


def merge(origin: Origin, topic: str, *, committer: str = "gogs@fake.local", author: str = "alice@example.com") -> str:
    """Merge a branch into main as Gogs does in its pages: the person who clicks is the author, Gogs the committer."""
    origin.git("checkout", "-q", "main")
    origin.git("-c", f"user.email={committer}", "merge", "-q", "--no-ff", "--no-commit", topic)
    origin.git("commit", "-q", "-m", "merge", f"--author=x <{author}>", email=committer)
    origin.git("push", "-q", "origin", "main")
    return origin.git("rev-parse", "HEAD")
