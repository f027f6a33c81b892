"""An AWS account's users, roles and groups, turned into identities and groups. Pure; `source.py` asks AWS.

A tag names the principal of a user or role; without the tag it has none. So the right to tag users and roles decides who is
who: guard `iam:TagUser` and `iam:TagRole` as closely as the right to change groups.

IAM does not know whether a user is disabled. A user that exists is active, unless the tag `tidegate-active` has any value but
"true". A user that is deleted, or has lost the subject's tag, is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from app.domain.access import Group, Identity, subject_from
from app.domain.errors import SourceUnavailable
from app.domain.principal import PrincipalKind

ACTIVE_TAG = "tidegate-active"
# A tag's value may hold letters, digits, spaces and `_.:/=+-@` (IAM API reference, `Tag`). Those of them that do not separate
# names may stand in a name. A comma is not allowed, but other servers that speak IAM's protocol accept it.
_GROUP_SEPARATOR = re.compile(r"[\s,:+]+")
_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Tag(_Answer):
    Key: str
    Value: str


class _Group(_Answer):
    GroupName: str = Field(min_length=1)
    GroupId: str = Field(min_length=1)


class _User(_Answer):
    UserName: str = Field(min_length=1)
    UserId: str = Field(min_length=1)
    GroupList: list[str] = []
    Tags: list[_Tag] = []


class _Role(_Answer):
    RoleName: str = Field(min_length=1)
    RoleId: str = Field(min_length=1)
    Tags: list[_Tag] = []


class Details(_Answer):
    """One page of GetAccountAuthorizationDetails (docs.aws.amazon.com/IAM/latest/APIReference, page of that name)."""

    UserDetailList: list[_User] = []
    GroupDetailList: list[_Group] = []
    RoleDetailList: list[_Role] = []
    IsTruncated: bool  # always sent, so an answer without it is not IAM's


@dataclass(frozen=True, slots=True)
class Naming:
    """The tags that name the principal and further groups, and the prefix of every group's name here."""

    subject_tag: str
    group_tag: str
    group_prefix: str


class AwsAccount:
    """An account, page by page. Groups come last, since a group and its members may stand on different pages."""

    def __init__(self, naming: Naming) -> None:
        self._naming = naming
        self._ids: dict[str, str] = {}
        self._members: dict[str, set[str]] = {}
        self._tagged: dict[str, set[str]] = {}

    def add(self, details: Details) -> tuple[Identity, ...]:
        """Add a page, and return the identities on it: the users and roles with the subject's tag."""
        self._ids.update({group.GroupName: group.GroupId for group in details.GroupDetailList})
        entities = [
            *(
                _Entity(user.UserId, user.UserName, PrincipalKind.HUMAN, user.Tags, user.GroupList)
                for user in details.UserDetailList
            ),
            *(_Entity(role.RoleId, role.RoleName, PrincipalKind.MACHINE, role.Tags) for role in details.RoleDetailList),
        ]
        return tuple(self._identities(entities))

    def groups(self) -> tuple[Group, ...]:
        """Return every group of the pages; raises SourceUnavailable if a member's group is on none of them."""
        if not self._members.keys() <= self._ids.keys():
            raise SourceUnavailable("AWS IAM: the account changed while it was read")
        prefix = self._naming.group_prefix
        return (
            *(Group(id_, prefix + name, frozenset(self._members.get(name, ()))) for name, id_ in self._ids.items()),
            *(Group(f"tag:{name}", prefix + name, frozenset(members)) for name, members in self._tagged.items()),
        )

    def _identities(self, entities: Iterable[_Entity]) -> Iterator[Identity]:
        for entity in entities:
            subject = subject_from(entity.tag(self._naming.subject_tag))
            if subject is not None:
                self._note(entity)
                yield _identity(entity, subject)

    def _note(self, entity: _Entity) -> None:
        for name in entity.groups:
            self._members.setdefault(name, set()).add(entity.id)
        for name in filter(None, _GROUP_SEPARATOR.split(entity.tag(self._naming.group_tag))):
            self._tagged.setdefault(name, set()).add(entity.id)


@dataclass(frozen=True, slots=True)
class _Entity:
    """A user or a role."""

    id: str
    name: str
    kind: PrincipalKind
    tags: list[_Tag]
    groups: list[str] = field(default_factory=list)

    def tag(self, key: str) -> str:
        """Return a tag's value, or nothing. IAM keeps a key's case but ignores it in comparisons (user guide, "Tags for IAM")."""
        return next((tag.Value for tag in self.tags if tag.Key.casefold() == key.casefold()), "")

    @property
    def is_active(self) -> bool:
        """Tell whether the active tag is absent or says "true"; an empty one does not."""
        is_tagged = any(tag.Key.casefold() == ACTIVE_TAG for tag in self.tags)
        return not is_tagged or self.tag(ACTIVE_TAG).strip().casefold() == "true"


def _identity(entity: _Entity, subject: str) -> Identity:
    return Identity(
        external_id=entity.id,
        subject=subject,
        is_active=entity.is_active,
        kind=entity.kind,
        login=entity.name,
        emails=frozenset({subject} if _EMAIL.fullmatch(subject) else ()),
    )
