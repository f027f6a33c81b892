"""Keys that sign commits: an administrator says whose a public key is, and takes that back for good."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.domain.access import why_no_principal
from app.domain.audit import AuditAction
from app.domain.errors import NotAllowed, NotFound
from app.domain.event import Account
from app.domain.signature import CommitKey
from app.pipeline.people.scribe import Scribe
from app.pipeline.ports.services import Services


def add_key(services: Services, key: CommitKey, by: Account) -> CommitKey:
    """Keep a key as its subject's, in the name of the administrator `by`; it gets its id here.

    Raises NotFound (nobody whom a source knows) or NotAllowed (the key is known, or was revoked).
    """
    if services.guard().identity.principal(key.subject) is None:
        raise NotFound(why_no_principal(key.subject))
    kept = replace(key, id=services.ids.new())
    with services.store.unit() as unit:
        if not unit.commit_keys.add(kept, by.key, services.clock.now()):
            raise NotAllowed(f"the key {key.fingerprint} is known already; a revoked key stays revoked")
        Scribe.of(services.clock, services.ids, by.key).note(unit, [(AuditAction.ACCESS_KEY_ADDED, _told(kept))])
    return kept


def revoke_key(services: Services, fingerprint: str, by: Account) -> CommitKey:
    """Revoke a key: from now on whatever it has signed is bad. Raises NotFound."""
    with services.store.unit() as unit:
        revoked = unit.commit_keys.revoke(fingerprint, by.key, services.clock.now())
        if revoked is None:
            raise NotFound(f"there is no valid key {fingerprint}")
        Scribe.of(services.clock, services.ids, by.key).note(unit, [(AuditAction.ACCESS_KEY_REVOKED, _told(revoked))])
    return revoked


def _told(key: CommitKey) -> dict[str, Any]:
    return {"subject": key.subject, "kind": key.kind.value, "fingerprint": key.fingerprint}
