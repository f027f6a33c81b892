"""Keys that sign commits: an administrator adds a person's public key, or revokes it for good."""

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

    Raises NotFound (no source knows the subject) or NotAllowed (the key is known, or was revoked).
    """
    if services.guard().identity.principal(key.subject) is None:
        raise NotFound(why_no_principal(key.subject))
    added = replace(key, id=services.ids.new())
    with services.store.unit() as unit:
        if not unit.commit_keys.add(added, by.key, services.clock.now()):
            raise NotAllowed(f"the key {key.fingerprint} is already known; a revoked key stays revoked")
        Scribe.of(services.clock, services.ids, by.key).note(unit, [(AuditAction.ACCESS_KEY_ADDED, _audit_detail(added))])
    return added


def revoke_key(services: Services, fingerprint: str, by: Account) -> CommitKey:
    """Revoke a key: from now on all its signatures are bad. Raises NotFound."""
    with services.store.unit() as unit:
        revoked = unit.commit_keys.revoke(fingerprint, by.key, services.clock.now())
        if revoked is None:
            raise NotFound(f"there is no valid key {fingerprint}")
        Scribe.of(services.clock, services.ids, by.key).note(unit, [(AuditAction.ACCESS_KEY_REVOKED, _audit_detail(revoked))])
    return revoked


def _audit_detail(key: CommitKey) -> dict[str, Any]:
    return {"subject": key.subject, "kind": key.kind.value, "fingerprint": key.fingerprint}
