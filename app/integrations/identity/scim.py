"""People and groups as a SCIM client writes them (RFC 7643 §4). Pure; served in `web/scim/`, kept in `store/scim/`.

The client writes to the gate, so such a source is never read.
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
    """A SCIM source's own keys (`[identity.NAME]` with `kind = "scim"`).

    `subject` is the attribute that names the principal. The client must vouch for it, and it must be unique; an e-mail is
    neither. `group_prefix` stands before every group's name, so that policies can tell this source's groups from others'.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Literal["userName", "externalId"] = "userName"
    group_prefix: str = ""


class Scim:
    """A source that is not read (protocol: identity.protocol.IdentitySource)."""

    def __init__(self, options: BaseModel, tools: Tools) -> None:
        """Accept the arguments that every source gets; none of them is needed."""

    def read_all(self) -> Iterator[Page]:
        """Raise SourceUnavailable."""
        raise SourceUnavailable("a SCIM source cannot be read: its client writes to the gate")

    def read_changes(self, since: datetime) -> Iterator[Page] | None:
        """Raise SourceUnavailable."""
        return self.read_all()

    def read_again(self, hint: Hint) -> Iterator[Page] | None:
        """Raise SourceUnavailable."""
        return self.read_all()


@dataclass(frozen=True, slots=True)
class ScimDocuments:
    """Reads the documents that the client of one source writes (protocol: identity.protocol.Documents)."""

    options: Options

    def identity(self, user_id: str, document: Mapping[str, Any]) -> Identity:
        """Read a User document; raises BadRequest."""
        return identity_from(user_id, document, self.options)

    def group(self, group_id: str, document: Mapping[str, Any]) -> Group:
        """Read a Group document; raises BadRequest."""
        return group_from(group_id, document, self.options)


def identity_from(user_id: str, document: Mapping[str, Any], options: Options) -> Identity:
    """Read a User document; raises BadRequest if the subject cannot name a principal.

    A user is active unless the document says otherwise. The attribute `active` is optional (RFC 7643 §4.1.1), and clients that
    create a user without it mean an active one. A change without it leaves it as it was: see `store/scim/resources.py`.
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
    """Read a Group document; raises BadRequest if its name cannot be a group's name."""
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
