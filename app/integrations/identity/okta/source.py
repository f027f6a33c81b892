"""People and groups as an Okta org has them, read through its management API (api.py); events: events.py.

https://developer.okta.com/docs/reference/api/users and …/groups. The plain list of users omits DEPROVISIONED ones. A user
that a whole read does not name is gone, which denies. Lists of changes omit deleted users and groups, so deletions are read
from the System Log (https://developer.okta.com/docs/reference/api/system-log).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from app.domain.access import Group, Hint, HintKind, Identity, Page, subject_from
from app.domain.errors import BadRequest, Forbidden, NotFound, SourceUnavailable
from app.domain.principal import GATE_PRINCIPAL
from app.domain.text import plain_line
from app.integrations.identity.okta.api import OktaApi
from app.integrations.identity.okta.events import OKTA_ID, parse_event
from app.integrations.identity.protocol import Tools

# The statuses that can sign in. LOCKED_OUT and RECOVERY cannot by any factor; PASSWORD_EXPIRED can, but not by the password.
# A STAGED or PROVISIONED user has never signed in (help.okta.com, "User account status"). A status unknown to us is inactive.
ACTIVE = frozenset({"ACTIVE", "PASSWORD_EXPIRED"})
DEPROVISIONED = "DEPROVISIONED"
OVERLAP = timedelta(minutes=2)  # lists and log are eventually consistent, and Okta's clock is not ours
OLDEST_CHANGES = timedelta(days=30)  # the System Log remembers 90 days
MOST_DELETED = 500  # if there are more, reading everything is better
LONGEST_NAME = 200
MOST_REPORTED = 1000
_DELETIONS = " or ".join(
    f'eventType eq "{kind}"'
    for kind in ("user.lifecycle.delete.initiated", "user.lifecycle.delete.completed", "group.lifecycle.delete")
)
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")  # RFC 5321 §4.5.3.1
_log = logging.getLogger(__name__)

Reference = Annotated[str, Field(pattern=r"^(env|file):.+$")]


class Options(BaseModel):
    """An Okta source's own keys."""

    model_config = ConfigDict(extra="forbid")
    url: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]-]+/?$")]
    token: Reference
    subject: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$")] = "login"
    group_prefix: Annotated[str, Field(max_length=50, pattern=r"^[!-~]*$")] = ""
    group_types: list[Literal["OKTA_GROUP", "APP_GROUP", "BUILT_IN"]] = ["OKTA_GROUP"]
    events_secret: Reference | None = None

    @field_validator("url")
    @classmethod
    def _keep_the_token_private(cls, url: str) -> str:
        parts = urlsplit(url.rstrip("/").lower())
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError("must be https, since the token is sent there")
        default = {"https": ":443", "http": ":80"}[parts.scheme]
        return f"{parts.scheme}://{parts.netloc.removesuffix(default)}"  # as Okta writes it in its links


class _OktaObject(BaseModel):
    """The fields that users and groups share."""

    model_config = ConfigDict(strict=True, extra="ignore")
    id: Annotated[str, Field(pattern=OKTA_ID)]
    profile: Any = None
    type: Any = None


M = TypeVar("M", bound=_OktaObject)


class _User(_OktaObject):
    status: Any = None


class Okta:
    """An Okta org (protocol: IdentitySource)."""

    def __init__(self, options: Options, tools: Tools) -> None:
        self._options = options
        self._clock = tools.clock
        self._api = OktaApi(
            options.url,
            token=lambda: tools.secret(options.token),
            clock=tools.clock,
            pause=tools.pause,
            client=tools.client,
        )
        self._reported_ids: set[str] = set()

    def read_all(self) -> Iterator[Page]:
        """Read all users except deactivated ones, then all groups with their members; raises SourceUnavailable."""
        yield from self._users()
        yield from self._groups()

    def read_changes(self, since: datetime) -> Iterator[Page] | None:
        """Read the users and groups that changed or were deleted since; None if that is long ago or the log is forbidden."""
        if self._clock.now() - since > OLDEST_CHANGES:
            return None
        after = f"{(since - OVERLAP).astimezone(UTC):%Y-%m-%dT%H:%M:%S}.000Z"
        deleted = self._deletions(after)
        return None if deleted is None else self._changes(after, deleted)

    def read_again(self, hint: Hint) -> Iterator[Page] | None:
        """Read one user, without its groups, or one group with its members; None if the hint is about everything.

        For a changed membership Okta also sends the group, so the hint about the group updates the user's groups.
        """
        match hint.kind:
            case HintKind.IDENTITY:
                return self._user_again(hint.external_id)
            case HintKind.GROUP:
                return self._group_again(hint.external_id)
            case HintKind.ALL:
                return None

    def _changes(self, after: str, deleted: Iterable[Hint]) -> Iterator[Page]:
        # `search` knows when a status changed; only a filter by status is sure to list DEPROVISIONED users
        yield from self._users({"search": f'lastUpdated gt "{after}" or statusChanged gt "{after}"'})
        yield from self._users({"filter": f'status eq "{DEPROVISIONED}" and lastUpdated gt "{after}"'})
        users_first = sorted(deleted, key=lambda hint: hint.kind is HintKind.GROUP)
        for hint in users_first:
            yield from self.read_again(hint) or ()
        yield from self._groups({"filter": f'lastUpdated gt "{after}" or lastMembershipUpdated gt "{after}"'})

    def _deletions(self, after: str) -> set[Hint] | None:
        """List the deletions in the log, as hints, since a deletion may have failed; None if there are too many."""
        until = f"{self._clock.now().astimezone(UTC):%Y-%m-%dT%H:%M:%S}.999Z"  # without it the log has no last page
        hints: set[Hint] = set()
        query = {"since": after, "until": until, "filter": _DELETIONS}
        try:
            for page in self._api.pages("logs", query, expected={403: Forbidden}):
                hints.update(hint for raw in page for hint in parse_event(raw).hints)
                if len(hints) > MOST_DELETED:
                    return None
        except Forbidden:
            return None
        except BadRequest as fault:
            raise SourceUnavailable(f"Okta's log: {fault}") from None
        return hints

    def _users(self, query: Mapping[str, str] | None = None) -> Iterator[Page]:
        for items in self._api.pages("users", query):
            yield self._page([_parse(_User, item) for item in items])

    def _user_again(self, external_id: str) -> Iterator[Page]:
        user = self._one(_User, "users", external_id)
        yield Page(gone=(external_id,)) if user is None else self._page([user])

    def _page(self, users: Iterable[_User]) -> Page:
        identities, gone = [], []
        for user in users:
            identity = self._identity(user)
            if identity is None:
                gone.append(user.id)  # else an earlier statement would still give this user its old subject
            else:
                identities.append(identity)
        return Page(identities=tuple(identities), gone=tuple(gone))

    def _groups(self, query: Mapping[str, str] | None = None) -> Iterator[Page]:
        for items in self._api.pages("groups", query):
            for item in items:
                yield self._group_page(_parse(_OktaObject, item))

    def _group_again(self, external_id: str) -> Iterator[Page]:
        group = self._one(_OktaObject, "groups", external_id)
        yield Page(gone_groups=(external_id,)) if group is None else self._group_page(group)

    def _group_page(self, group: _OktaObject) -> Page:
        name = _text(group.profile, "name")
        if group.type not in self._options.group_types:  # the admins of an imported application may name its groups at will
            return Page(gone_groups=(group.id,))
        if not name or not name.isprintable() or len(name) > LONGEST_NAME:
            self._report(group.id, "group %s has no usable name")
            return Page(gone_groups=(group.id,))
        try:
            members = frozenset(self._members(group.id))
        except NotFound:
            return Page(gone_groups=(group.id,))  # deleted meanwhile
        return Page(groups=(Group(group.id, self._options.group_prefix + name, members),))

    def _members(self, group_id: str) -> Iterator[str]:
        """Yield the ids of the members that the lists of users also report as identities."""
        for items in self._api.pages(f"groups/{group_id}/users", expected={404: NotFound}):
            for user in (_parse(_User, item) for item in items):
                if user.status != DEPROVISIONED and self._identity(user) is not None:
                    yield user.id

    def _one(self, model: type[M], collection: str, external_id: str) -> M | None:
        if not re.fullmatch(OKTA_ID, external_id):
            return None  # Okta has no such ids, and this must not get into an address
        try:
            item = _parse(model, self._api.one(f"{collection}/{external_id}", expected={404: NotFound}))
        except NotFound:
            return None
        return item if item.id == external_id else None  # Okta finds users by login too, and the token's owner by `me`

    def _identity(self, user: _User) -> Identity | None:
        subject = subject_from(_text(user.profile, self._options.subject))
        if subject is None or subject == GATE_PRINCIPAL.subject:
            self._report(user.id, "user %s has no usable subject, so it is not a principal here")
            return None
        email = _text(user.profile, "email")
        return Identity(
            external_id=user.id,
            subject=subject,
            is_active=isinstance(user.status, str) and user.status in ACTIVE,
            login=plain_line(_text(user.profile, "login"), LONGEST_NAME),
            name=_name(user.profile),
            emails=frozenset({email.casefold()}) if _EMAIL.fullmatch(email) and email.isprintable() else frozenset(),
        )

    def _report(self, external_id: str, what: str) -> None:
        """Log a user or group that cannot be used, once each."""
        if external_id not in self._reported_ids and len(self._reported_ids) < MOST_REPORTED:
            self._reported_ids.add(external_id)
            _log.warning(f"okta: {what}", external_id)


def _parse(model: type[M], item: object) -> M:
    try:
        return model.model_validate(item)
    except ValidationError:
        raise SourceUnavailable("Okta answered with a user or group that has no id of Okta's kind") from None


def _text(profile: object, attribute: str) -> str:
    value = profile.get(attribute) if isinstance(profile, dict) else None
    return value if isinstance(value, str) else ""


def _name(profile: object) -> str:
    full = f"{_text(profile, 'firstName')} {_text(profile, 'lastName')}".strip()
    return plain_line(_text(profile, "displayName") or full, LONGEST_NAME)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
