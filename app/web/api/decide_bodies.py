"""The JSON that `POST /api/v1/decide` takes: models, from which its description is made. Its answers: `app/answers/push.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.domain.change import Changes
from app.domain.event import Account, Repository, bounded_ref, is_object_id
from app.domain.push import PushRequest, RefUpdate
from app.integrations.inspection.patch import parse
from app.web.api.decide_lists import MOST_BASES

LONGEST_REF = 1_000  # bytes
MOST_SENT = 5_000  # refs of one push; if there are more than a few, the answer only says that they are too many
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def _object_id(value: str) -> str:
    if not is_object_id(value):
        raise ValueError("must be a whole object id in lower-case hex")
    return value


def _one_line(value: str) -> str:
    if _CONTROL.search(value):
        raise ValueError("must not hold a control character")
    return value


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold a NUL")
    return value


ObjectId = Annotated[str, AfterValidator(_object_id), Field(description="an object id; all zeros if there is none")]
Ref = Annotated[str, AfterValidator(_one_line), AfterValidator(partial(bounded_ref, most=LONGEST_REF)), Field(pattern=r"^refs/.")]
Short = Annotated[str, AfterValidator(_one_line), Field(min_length=1, max_length=255)]
Email = Annotated[str, AfterValidator(_without_nul), Field(max_length=1_000)]
Path = Annotated[str, AfterValidator(_without_nul), Field(max_length=4_096)]
Number = Annotated[int, Field(gt=0, lt=2**63)]


@dataclass(frozen=True, slots=True)
class Extras:
    """What a form brings beside the fields of an update."""

    changes: Changes | None = None
    commit_of: Mapping[str, str] = field(default_factory=dict)
    committers: frozenset[str] = frozenset()


NO_EXTRAS = Extras()


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class DecideRepository(_Model):
    """The repository that is pushed to."""

    id: Number = Field(description="its stable number at the forge")
    owner: Short
    name: Short


class DecideAccount(_Model):
    """The account that pushes, as the forge has authenticated it."""

    id: Number = Field(description="its stable number at the forge")
    login: Short


class DecideUpdate(_Model):
    """One ref to change. A field that is left out counts as unknown, which denies if a policy asks about it."""

    ref: Ref
    old: ObjectId
    new: ObjectId
    commit: ObjectId | None = Field(None, description="the commit that an annotated tag points to")
    forced: bool | None = Field(None, description="whether `old` is not an ancestor of `new`")
    emails: list[Email] = Field([], description="e-mails of authors and committers of the new commits")
    emails_known: bool = Field(False, description="whether no e-mail is missing")
    paths: list[Path] = Field([], description="paths that the new commits change")
    paths_known: bool = Field(False, description="whether no path is missing")
    bases: list[ObjectId] | None = Field(
        None, max_length=MOST_BASES, description="the commits that hold all that does not count as new"
    )
    log: str | None = Field(None, description="the new commits as `git log` writes them for content inspection")

    def to_domain(self, extras: Extras = NO_EXTRAS) -> RefUpdate:
        """Return the domain's value, with `extras` if there is no `log`; raises BadRequest if `log` cannot be read."""
        fields = self.model_dump(exclude={"log", "emails", "paths", "bases"})
        changes = parse(self.log.encode()) if self.log is not None else extras.changes
        emails, paths = tuple(self.emails), tuple(self.paths)
        bases = None if self.bases is None else tuple(self.bases)
        update = RefUpdate(**fields, emails=emails, paths=paths, changes=changes, bases=bases)
        return replace(update, commit_of=extras.commit_of, committers=extras.committers)


class DecideRequest(_Model):
    """A push, before the forge takes it."""

    action: Literal["push"] = "push"
    forge: Short = Field(description="the name of the forge in tidegate.toml")
    repository: DecideRepository
    account: DecideAccount
    updates: list[DecideUpdate] = Field(min_length=1, max_length=MOST_SENT)

    def to_domain(self, extras: Sequence[Extras] = (), *, check_version: int | None = None) -> PushRequest:
        """Return the domain's value, with the `extras` of each update. Raises BadRequest."""
        repository, all_extras = self.repository, extras or [NO_EXTRAS] * len(self.updates)
        return PushRequest(
            Repository(self.forge, repository.id, f"{repository.owner}/{repository.name}", repository.owner, 0),
            Account(self.forge, str(self.account.id), self.account.login),
            tuple(update.to_domain(beside) for update, beside in zip(self.updates, all_extras, strict=True)),
            check_version,
        )
