"""A push to a real repository that waits for approvals, as the pipeline leaves it: for tests of those who vote."""

from __future__ import annotations

from pathlib import Path

from app.bootstrap import Process
from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import Deployment, State
from app.domain.event import Account, Event, EventKind, Repository
from app.pipeline.intake.plan import plan
from app.pipeline.line.authorize import authorize
from app.pipeline.line.identify import identify
from tests.configurations import Keys
from tests.pipeline.ask.cast import git

POLICIES = """\
@id("team") @reason("members of team deploy")
permit (principal in Group::"team", action == Action::"deploy", resource);
@id("two-people") @reason("another person approves")
forbid (principal, action == Action::"deploy", resource) unless { context.approvals.met };
@id("leads") @reason("members of leads approve")
permit (principal in Group::"leads", action == Action::"approve", resource);
"""
RIGHTS = """\
@id("on-call") @reason("members of on-call override, with a second factor within 15 minutes")
permit (principal in Group::"on-call", action == Action::"override", resource) when { context.session.mfa_age < 900 };
@id("look-after") @reason("members of leads review overrides and change policies")
permit (principal in Group::"leads", action in [Action::"review", Action::"change-policies"], resource);
"""
PAT = """\
[[people]]
subject = "pat"
groups = ["team"]
emails = ["pat@example.com"]
accounts = ["hub:90"]
"""
REPOSITORY = Repository("hub", 1, "acme/shop", "acme", 7)


def hub(folder: Path) -> Keys:
    """Make the table of the forge, whose repositories `folder` holds."""
    clone = f"file://{folder}/repositories/{{repository}}.git"
    return {"url": "http://127.0.0.1:1", "clone": clone, "webhook_secrets": [f"file:{folder}/hook"]}


def held(process: Process, folder: Path, *, number: str = "90", author: str = "pat@example.com") -> Deployment:
    """Push as an account of the hub, and have it wait for approvals."""
    sha, services = _pushed(folder, author), process.services
    name, now = services.ids.new(), services.clock.now()
    event = Event(EventKind.PUSH, REPOSITORY, "refs/heads/main", None, sha, Account("hub", number, "somebody"))
    services.inbox.put(Delivery(name, "hub", name, "push", b"{}", event, None, now, DeliveryState.PENDING)).result(timeout=30)
    (made,) = plan(services).deployments
    identify(services, made.id)
    authorize(services, made.id)
    found = process.reads.deployment(made.id).deployment
    assert found.state is State.HELD, found.reason
    return found


def state(process: Process, deployment: Deployment) -> State:
    """Tell where it stands now."""
    return process.reads.deployment(deployment.id).deployment.state


def _pushed(folder: Path, author: str) -> str:
    work, bare = folder / "work", folder / "repositories" / "acme" / "shop.git"
    if not bare.exists():
        git(folder, "init", "-q", "--bare", str(bare))
        git(folder, "init", "-q", "-b", "main", str(work))
    identity = {f"GIT_{role}_{what}": author for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    git(work, "commit", "-q", "--allow-empty", "-m", "one more", env=identity)
    git(work, "push", "-q", str(bare), "main")
    return git(work, "rev-parse", "HEAD").stdout.strip()
