"""Parse the JSON of deliveries, which Gogs, Gitea and Forgejo share.

The parser is tolerant of unused fields and strict about used ones. The body's shape tells the event, since the header is not
signed; the two must agree. Two traps were seen on a real Gogs: `pusher` is not the person who merged, and `commits` is cut
and may name commits that are not on the branch. So neither is read.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.domain.errors import BadDelivery
from app.domain.event import Account, Event, EventKind, Ignored, Repository, bounded_ref, is_object_id, is_zero
from app.integrations.forges.protocol import VerifiedPayload

_FORBIDDEN = re.compile(
    r"[\x00-\x20\x7f-\x9f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|\Z)|\A[-/.]|[/.]\Z"
)  # git-check-ref-format(1), C1
_EVENTS_WITHOUT_DEPLOYMENT = {
    "issues", "issue_comment", "pull_request", "fork", "delete", "repository", "wiki", "package", "status",
    "pull_request_approved", "pull_request_rejected", "pull_request_comment", "pull_request_sync",
    "pull_request_review_approved", "pull_request_review_rejected", "pull_request_review_comment",
    "workflow_run", "workflow_job", "action_run_failure", "action_run_recover", "action_run_success",
}  # fmt: skip


def _ref_name(value: str) -> str:
    if _FORBIDDEN.search(value):
        raise ValueError("is not a ref name")
    return value


def _plain(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds control characters")
    return value


RefName = Annotated[str, Field(min_length=1), AfterValidator(bounded_ref), AfterValidator(_ref_name)]
Plain = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_plain)]
Number = Annotated[int, Field(ge=-(2**53), le=2**53)]
PositiveNumber = Annotated[int, Field(gt=0, le=2**53)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _User(_Part):
    id: Number
    login: Plain | None = None
    username: Plain | None = None


class _Owner(_Part):
    id: PositiveNumber
    login: Plain | None = None
    username: Plain


class _Repository(_Part):
    id: PositiveNumber
    full_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}$")]
    owner: _Owner
    mirror: bool = False


class _Release(_Part):
    tag_name: RefName
    draft: bool
    prerelease: bool


class _Delivery(_Part):
    """The union of all shapes. The fields that are present tell the event."""

    ref: Annotated[str, AfterValidator(bounded_ref)] | None = None
    ref_type: str | None = None
    sha: str | None = None
    before: str | None = None
    after: str | None = None
    commits: Any = None
    pusher_type: Any = None
    action: str | None = None
    release: _Release | None = None
    issue: Any = None
    pull_request: Any = None
    forkee: Any = None
    repository: _Repository
    sender: _User


def parse(payload: VerifiedPayload) -> Event | Ignored:
    """Return the meaning of a delivery; raises BadDelivery, and nothing else, if it cannot be understood."""
    try:
        if payload.event_header in _EVENTS_WITHOUT_DEPLOYMENT:
            return _without_deployment(payload)
        delivery = _Delivery.model_validate_json(payload.json)
        return _meaning(payload, delivery)
    except ValidationError as fault:
        first = fault.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise BadDelivery(f"{where[:100]}: {first['msg'][:200]}") from None
    except (RecursionError, UnicodeError) as fault:
        raise BadDelivery(f"the body cannot be read ({type(fault).__name__})") from None


def _without_deployment(payload: VerifiedPayload) -> Ignored:
    """Read the body only to make sure that it is not a push, tag or release under a false header."""
    shape = _Shape.model_validate_json(payload.json)
    if shape.looks_like_a_ref_update():
        raise BadDelivery(f"the header says {payload.event_header}, but the body is another event's")
    merged = payload.event_header == "pull_request" and shape.is_merge()
    reason = "the push of the merge carries it" if merged else f"{payload.event_header} events lead to no deployment"
    return Ignored(reason)


class _Shape(_Part):
    after: Any = None
    commits: Any = None
    sha: Any = None
    ref_type: Any = None
    pusher_type: Any = None
    release: Any = None
    pull_request: Any = None

    def looks_like_a_ref_update(self) -> bool:
        is_create = self.ref_type is not None and self.pusher_type is None
        return self.after is not None or self.commits is not None or is_create or self.release is not None

    def is_merge(self) -> bool:
        return isinstance(self.pull_request, dict) and self.pull_request.get("merged") is True


def _meaning(payload: VerifiedPayload, delivery: _Delivery) -> Event | Ignored:
    shape = _shape_of(delivery)
    if shape is None:
        raise BadDelivery(f"the body is not of a {payload.event_header} event")
    if shape != payload.event_header:
        raise BadDelivery(f"the header says {payload.event_header}, but the body is a {shape}")
    repository = delivery.repository
    if repository.mirror:
        return Ignored("mirror: this was not pushed by a person")
    if delivery.sender.id <= 0:
        return Ignored(_why_nobody(delivery.sender))
    if shape == "push":
        return _push(payload, delivery)
    return _create(payload, delivery) if shape == "create" else _release(payload, delivery)


def _why_nobody(sender: _User) -> str:
    """Say why a built-in sender stands for nobody (models/user/user_system.go: Gitea has -1 and -2, Forgejo -3 as well)."""
    match sender.id:
        case -1:
            return "the sender's account was deleted at the forge (the forge names its ghost user, -1)"
        case -2:
            return (
                "Actions did this with its automatic token, which stands for no person (built-in user -2):"
                " let the workflow use the token of a machine account that is linked to a principal"
            )
        case -3:
            return "the forge's federation actor did this (built-in user -3), which stands for no person"
        case number:
            return f"the sender is no account of a person: the forge says user {number}, and accounts are numbered from 1"


def _shape_of(delivery: _Delivery) -> str | None:
    if delivery.release is not None:
        return "release"
    if delivery.after is not None and delivery.before is not None and delivery.ref is not None:
        return "push"
    if delivery.ref_type is not None and delivery.ref is not None and delivery.pusher_type is None:
        return "create"
    return None


def _push(payload: VerifiedPayload, delivery: _Delivery) -> Event | Ignored:
    ref, before, after = delivery.ref or "", delivery.before or "", delivery.after or ""
    if not ref.startswith("refs/"):
        return Ignored("mirror sync: this was not pushed by a person")
    if not ref.startswith(("refs/heads/", "refs/tags/")):
        return Ignored("only branches and tags deploy")
    if not (is_object_id(before) and is_object_id(after)):
        raise BadDelivery("before or after is not a full object id")
    if _FORBIDDEN.search(ref):
        raise BadDelivery("ref: is not a ref name")
    if before == after:
        return Ignored("test delivery: before and after are the same commit")
    if is_zero(after):
        return Ignored("a deleted ref deploys nothing")
    kind = EventKind.PUSH if ref.startswith("refs/heads/") else EventKind.TAG
    return _event(payload, delivery, kind, ref, None if is_zero(before) else before, after)


def _create(payload: VerifiedPayload, delivery: _Delivery) -> Event | Ignored:
    if delivery.ref_type == "branch":
        return Ignored("a new branch: its push carries it")
    if delivery.ref_type != "tag":
        raise BadDelivery("ref_type: is neither branch nor tag")
    ref, sha = delivery.ref or "", delivery.sha or ""
    if _FORBIDDEN.search(ref) or not ref:
        raise BadDelivery("ref: is not a ref name")
    if not is_object_id(sha) or is_zero(sha):
        raise BadDelivery("sha: is not a full object id")
    return _event(payload, delivery, EventKind.TAG, f"refs/tags/{ref}", None, sha)


def _release(payload: VerifiedPayload, delivery: _Delivery) -> Event | Ignored:
    release = delivery.release
    assert release is not None
    if delivery.action not in _published_by(payload) or release.draft:
        return Ignored("only a published release deploys")
    if release.prerelease:
        return Ignored("a pre-release deploys nothing")
    return _event(payload, delivery, EventKind.RELEASE, f"refs/tags/{release.tag_name}", None, None)


def _published_by(payload: VerifiedPayload) -> tuple[str, ...]:
    """Return the actions that may publish a release. Gitea and Forgejo say `updated` if a draft is published for an existing tag.

    gitea: services/release/release.go, UpdateRelease. An edited text says so, too; its commit was planned when it was published.
    """
    return ("published",) if payload.kind == "gogs" else ("published", "updated")


def _event(
    payload: VerifiedPayload, delivery: _Delivery, kind: EventKind, ref: str, before: str | None, after: str | None
) -> Event:
    source, sender = delivery.repository, delivery.sender
    repository = Repository(payload.forge, source.id, source.full_name, source.owner.username, source.owner.id)
    login = sender.login or sender.username or str(sender.id)
    return Event(kind, repository, ref, before, after, Account(payload.forge, str(sender.id), login))
