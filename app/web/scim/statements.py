"""What a write of a SCIM client says to the access map. Next: `pipeline/people/scribe.py`."""

from __future__ import annotations

from scim2_models import UniquenessException

from app.domain.access import Identity, Page
from app.integrations.identity.scim import group_from, identity_from
from app.store.scim.resources import WrittenResource
from app.store.unit import SqlUnit
from app.web.scim.clients import ScimCaller


def page_from(unit: SqlUnit, caller: ScimCaller, written: WrittenResource) -> Page:
    """Turn what was written into what it says; raises BadRequest or UniquenessException where that cannot be said."""
    match written:
        case WrittenResource("User", user_id, None):
            return Page(gone=(user_id,))
        case WrittenResource("Group", group_id, None):
            return Page(gone_groups=(group_id,))
        case WrittenResource("User", user_id, document) if document is not None:
            identity = identity_from(user_id, document, caller.options)
            _refuse_second(unit, caller.token.source, identity)
            return Page(identities=(identity,))
        case WrittenResource(_, group_id, document):
            return Page(groups=(group_from(group_id, document or {}, caller.options),))


def _refuse_second(unit: SqlUnit, source: str, identity: Identity) -> None:
    """Refuse a second user of one subject: two of them would be one principal, with the groups of both."""
    others = (s for s in unit.access.statements([identity.subject]).get(identity.subject, ()) if s.source == source)
    if any(s.identity.external_id != identity.external_id and not s.is_gone for s in others):
        raise UniquenessException(detail=f"another user of this source is the principal {identity.subject!r}")
