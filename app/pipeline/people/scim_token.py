"""The bearer tokens of SCIM clients: create, list, revoke and check them. A client's writes: `serve_scim.py`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from app.domain.access import SourceKind
from app.domain.audit import AuditAction
from app.domain.errors import BadRequest, Forbidden, NotFound
from app.domain.event import Account
from app.domain.scim import USE_NOTED_EVERY, ScimToken, digest_of
from app.integrations.identity.protocol import Documents
from app.pipeline.people.scribe import Scribe
from app.pipeline.ports.services import Services

TOKEN_BYTES = 32
LONGEST_CLIENT = 63


@dataclass(frozen=True, slots=True)
class ScimCaller:
    """An authenticated client, and the reader of its source's documents."""

    token: ScimToken
    documents: Documents

    def scribe(self, services: Services) -> Scribe:
        """Make a scribe that writes in the client's name."""
        return Scribe.of(services.clock, services.ids, f"scim:{self.token.client}")


def create_token(
    services: Services, source: str, client: str, *, by: Account, random: Callable[[int], bytes]
) -> tuple[ScimToken, str]:
    """Make a token for a client of a configured source, in the name of `by`; return it with its secret, which is not kept.

    Raises NotFound (no such source) or BadRequest (a name that cannot be shown).
    """
    _check(services, source, client)
    secret = "tgs_" + base64.urlsafe_b64encode(random(TOKEN_BYTES)).decode().rstrip("=")
    token = ScimToken(services.ids.new(), source, client, services.clock.now(), by.key)
    with services.store.unit() as unit:
        unit.scim_tokens.add(token, digest_of(secret))
        Scribe.of(services.clock, services.ids, by.key).note(unit, [(AuditAction.ACCESS_TOKEN_CREATED, _audit_detail(token))])
    return token, secret


def list_tokens(services: Services) -> list[ScimToken]:
    """List all tokens, revoked ones too, without their secrets."""
    with services.store.reading() as unit:
        return unit.scim_tokens.all()


def revoke_token(services: Services, identifier: str, by: Account) -> ScimToken | None:
    """Revoke a token, named by its id or the end of its id; None if it was revoked before. Raises NotFound."""
    with services.store.unit() as unit:
        revoked = unit.scim_tokens.revoke(identifier, services.clock.now())
        if revoked is not None:
            Scribe.of(services.clock, services.ids, by.key).note(
                unit, [(AuditAction.ACCESS_TOKEN_REVOKED, _audit_detail(revoked))]
            )
    return revoked


def valid_token(services: Services, secret: str) -> ScimToken | None:
    """Return the token of this secret; None if there is none, or if it is revoked."""
    with services.store.single() as unit:
        return unit.scim_tokens.valid(digest_of(secret))


def caller_of(services: Services, token: ScimToken) -> ScimCaller:
    """Return the client of a valid token; raises Forbidden if its source is no longer configured."""
    binding = services.guard().sources.get(token.source)
    if binding is None or binding.documents is None:
        raise Forbidden(f"the source {token.source!r} of this token is no longer configured with kind scim")
    return ScimCaller(token, binding.documents)


def note_use(services: Services, caller: ScimCaller) -> None:
    """Note, at most once a minute, that the token is in use and its source heard: a silent client means that nothing changed."""
    token, now = caller.token, services.clock.now()
    if token.last_used_at is not None and now - token.last_used_at < USE_NOTED_EVERY:
        return
    with services.store.unit() as unit:
        if unit.scim_tokens.note_use(token, now):
            caller.scribe(services).open(unit, token.source, SourceKind.SCIM)
            unit.statements.heard(token.source, now, whole=False)


def _check(services: Services, source: str, client: str) -> None:
    binding = services.guard().sources.get(source)
    if binding is None or binding.documents is None:
        raise NotFound(f'there is no [identity.{source}] with kind = "scim" in the configuration')
    if not client.strip() or not client.isprintable() or len(client) > LONGEST_CLIENT:
        raise BadRequest(f"a client's name is printable and has 1 to {LONGEST_CLIENT} characters")


def _audit_detail(token: ScimToken) -> dict[str, str]:
    return {"token": token.id, "source": token.source, "client": token.client}
