"""Put a SCIM client's write into the access map: under its source's lock, with its audit entries, in its transaction.

`web/scim/` serves the protocol, and `store/scim/` keeps the resources. That storage calls a `ScimWriter`: first `open`,
before it reads anything in order to change it, then `record` for each write. Next: `scribe.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.access import Identity, Page, SourceKind
from app.domain.errors import BadRequest, NotAllowed
from app.domain.scim import WrittenResource
from app.pipeline.people.scim_token import ScimCaller
from app.pipeline.people.scribe import Scribe
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit


@dataclass(frozen=True, slots=True)
class ScimWriter:
    """Writes down what one request of a client changes; all its audit entries carry one correlation id."""

    caller: ScimCaller
    scribe: Scribe

    @classmethod
    def of(cls, services: Services, caller: ScimCaller) -> ScimWriter:
        """Make a writer for one request."""
        return cls(caller, caller.scribe(services))

    @property
    def source(self) -> str:
        """The source for which the client speaks."""
        return self.caller.token.source

    def open(self, unit: Unit) -> None:
        """Lock the source until the unit ends: its writers come one after another."""
        self.scribe.open(unit, self.source, SourceKind.SCIM)

    def record(self, unit: Unit, written: WrittenResource) -> None:
        """Put what was written into the access map; raises BadRequest or NotAllowed if it does not fit there."""
        page = self._page(unit, written)
        if written.is_same_person:
            self._follow(unit, written, page.identities[0].subject)
        self.scribe.say(unit, self.source, page)

    def _follow(self, unit: Unit, written: WrittenResource, subject: str) -> None:
        """Let the account links follow a person whom the provider renames, if nobody else is or was meant by either name."""
        try:
            former = self.caller.documents.identity(written.id, written.former or {}).subject
        except BadRequest:
            return
        if former == subject:
            return
        said = unit.access.statements([former, subject])
        own = [(s.source, s.identity.external_id) for s in said.get(former, ())]
        if own == [(self.source, written.id)] and not said.get(subject) and not unit.access.links_of([subject]):
            self.scribe.move_links(unit, former, subject)

    def _page(self, unit: Unit, written: WrittenResource) -> Page:
        match written:
            case WrittenResource("User", user_id, None):
                return Page(gone=(user_id,))
            case WrittenResource("Group", group_id, None):
                return Page(gone_groups=(group_id,))
            case WrittenResource("User", user_id, document) if document is not None:
                identity = self.caller.documents.identity(user_id, document)
                _refuse_second(unit, self.source, identity)
                return Page(identities=(identity,))
            case WrittenResource(_, group_id, document):
                return Page(groups=(self.caller.documents.group(group_id, document or {}),))


def _refuse_second(unit: Unit, source: str, identity: Identity) -> None:
    """Refuse a second user of one subject: two of them would be one principal, with the groups of both."""
    others = (s for s in unit.access.statements([identity.subject]).get(identity.subject, ()) if s.source == source)
    if any(s.identity.external_id != identity.external_id and not s.is_gone for s in others):
        raise NotAllowed(f"another user of this source is the principal {identity.subject!r}")
