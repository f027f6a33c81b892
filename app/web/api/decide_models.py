"""What `POST /api/v1/decide` takes and answers as JSON: the models that its documentation is made from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import zip_longest
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.domain.change import Changes
from app.domain.event import Account, Repository, is_object_id
from app.domain.push import PushRequest, RefUpdate
from app.integrations.inspection.patch import parse

MOST_SENT = 5_000  # refs of one push; of more than a few nothing is decided but that they are too many
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _object_id(value: str) -> str:
    if not is_object_id(value):
        raise ValueError("must be a whole object id in lower-case hex")
    return value


def _one_line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must hold no control character")
    return value


def _kept(value: str) -> str:
    if "\0" in value:
        raise ValueError("must hold no NUL")
    return value


ObjectId = Annotated[str, AfterValidator(_object_id), Field(description="an object id; all zeros: there is none")]
Ref = Annotated[str, AfterValidator(_one_line), Field(pattern=r"^refs/.", max_length=1_000)]
Short = Annotated[str, AfterValidator(_one_line), Field(min_length=1, max_length=255)]
Email = Annotated[str, AfterValidator(_kept), Field(max_length=1_000)]
Path = Annotated[str, AfterValidator(_kept), Field(max_length=4_096)]
Number = Annotated[int, Field(gt=0, lt=2**63)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class DecideRepository(_Model):
    """The repository that is pushed to."""

    id: Number = Field(description="its stable number at the forge")
    owner: Short
    name: Short


class DecideAccount(_Model):
    """The account that pushes, as the forge has let it in."""

    id: Number = Field(description="its stable number at the forge")
    login: Short


class DecideUpdate(_Model):
    """One ref that is to be changed. What is left out counts as unknown, which denies where a policy asks about it."""

    ref: Ref
    old: ObjectId
    new: ObjectId
    commit: ObjectId | None = Field(None, description="the commit that an annotated tag points to")
    forced: bool | None = Field(None, description="whether `old` is no ancestor of `new`")
    emails: list[Email] = Field([], description="of authors and committers of the new commits")
    emails_known: bool = Field(False, description="whether no e-mail is missing")
    paths: list[Path] = Field([], description="that the new commits change")
    paths_known: bool = Field(False, description="whether no path is missing")
    log: str | None = Field(None, description="the new commits as `git log` writes them for content inspection")

    def meant(self, changes: Changes | None = None) -> RefUpdate:
        """Return it as the domain's value, with the changes where they came beside; raises BadRequest where `log` is none."""
        given = self.model_dump(exclude={"log", "emails", "paths"})
        changes = parse(self.log.encode()) if self.log is not None else changes
        return RefUpdate(**given, emails=tuple(self.emails), paths=tuple(self.paths), changes=changes)


class DecideRequest(_Model):
    """A push, before it is taken."""

    action: Literal["push"] = "push"
    forge: Short = Field(description="the name of the forge in tidegate.toml")
    repository: DecideRepository
    account: DecideAccount
    updates: list[DecideUpdate] = Field(min_length=1, max_length=MOST_SENT)

    def meant(self, changes: Sequence[Changes | None] = ()) -> PushRequest:
        """Return it as the domain's value, with the updates' changes where they came beside; raises BadRequest."""
        told = self.repository
        return PushRequest(
            Repository(self.forge, told.id, f"{told.owner}/{told.name}", told.owner, 0),
            Account(self.forge, str(self.account.id), self.account.login),
            tuple(update.meant(each) for update, each in zip_longest(self.updates, changes)),
        )


class DecideFinding(_Model):
    """One thing that content inspection found."""

    kind: str
    where: str
    line: int | None
    what: str


class DecideDecision(_Model):
    """What was decided about one ref."""

    ref: str
    effect: Literal["allow", "deny", "hold"]
    policies: list[str] = Field(description="the ids of the policies that decided")
    reason: str
    findings: list[DecideFinding]


class DecideAnswer(_Model):
    """Whether the push may be taken: only if every ref may be changed."""

    id: str = Field(description="names the decision in the audit log")
    allowed: bool
    decisions: list[DecideDecision]
