"""What a SCIM client says of people and groups (RFC 7643 §4). Pure; served in `web/scim/`, kept in `store/scim/`.

Such a source speaks by itself: it is never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from app.domain.access import Group, Hint, Identity, Page, subject_from
from app.domain.errors import BadRequest, SourceUnavailable
from app.domain.principal import PrincipalKind
from app.integrations.identity.protocol import Tools

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+")  # an empty one would vouch for a commit without author
_KINDS = {kind.value: kind for kind in (PrincipalKind.AGENT, PrincipalKind.MACHINE)}


class Options(BaseModel):
    """The own keys of `[identity.NAME]` with `kind = "scim"`.

    `subject` is the attribute that names the principal: one that the client vouches for and that is unique; an e-mail is
    neither. `group_prefix` stands before every group's name, so that policies can tell this source's groups from others'.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Literal["userName", "externalId"] = "userName"
    group_prefix: str = ""


class Scim:
    """A source that is not read (protocol: identity.protocol.IdentitySource)."""

    def __init__(self, options: BaseModel, tools: Tools) -> None:
        """Take what every source is made of; none of it is needed."""

    def read_all(self) -> Iterator[Page]:
        """Raise SourceUnavailable."""
        raise SourceUnavailable("a SCIM source speaks by itself and is not read")

    def read_changes(self, since: datetime) -> Iterator[Page] | None:
        """Raise SourceUnavailable."""
        return self.read_all()

    def read_again(self, hint: Hint) -> Iterator[Page] | None:
        """Raise SourceUnavailable."""
        return self.read_all()


@dataclass(frozen=True, slots=True)
class ScimDocuments:
    """Reads what the client of one source writes (protocol: identity.protocol.Documents)."""

    options: Options

    def identity(self, user_id: str, document: Mapping[str, Any]) -> Identity:
        """Read a User document; raises BadRequest."""
        return identity_from(user_id, document, self.options)

    def group(self, group_id: str, document: Mapping[str, Any]) -> Group:
        """Read a Group document; raises BadRequest."""
        return group_from(group_id, document, self.options)


def identity_from(user_id: str, document: Mapping[str, Any], options: Options) -> Identity:
    """Read a User document; raises BadRequest where its subject can be none.

    Active where it does not say otherwise: the attribute is optional (RFC 7643 §4.1.1), and clients that leave it out mean so
    when they create somebody. A change that leaves it out changes nothing of it: see `store/scim/resources.py`.
    """
    subject = subject_from(str(document.get(options.subject) or ""))
    if subject is None:
        raise BadRequest(f"{options.subject} names the principal: it must be printable, of 1 to 200 characters")
    return Identity(
        external_id=user_id,
        subject=subject,
        is_active=document.get("active") is not False,
        kind=_KINDS.get(str(document.get("userType") or "").casefold()),
        login=str(document.get("userName") or ""),
        name=str(document.get("displayName") or ""),
        emails=frozenset(_emails(document)),
    )


def group_from(group_id: str, document: Mapping[str, Any], options: Options) -> Group:
    """Read a Group document; raises BadRequest where its name is none."""
    name = str(document.get("displayName") or "")
    if not name.strip() or not name.isprintable():
        raise BadRequest("displayName names the group: it must be printable and not blank")
    members = frozenset(str(member["value"]) for member in document.get("members") or ())
    return Group(group_id, options.group_prefix + name, members)


def _emails(document: Mapping[str, Any]) -> Iterator[str]:
    for entry in document.get("emails") or ():
        email = str(entry.get("value") or "").strip().casefold()
        if _EMAIL.fullmatch(email):
            yield email
