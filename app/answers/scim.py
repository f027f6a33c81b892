"""Answers about the bearer tokens of SCIM clients. Only `--json` asks; what SCIM clients read is spelled in `web/scim/`."""

from __future__ import annotations

from app.answers.answer import Json, to_json
from app.domain.scim import ScimToken


def token_json(token: ScimToken) -> Json:
    """Spell a token, without its secret."""
    spelled: Json = to_json(token)
    return spelled


def created_json(token: ScimToken, *, secret: str, url: str) -> Json:
    """Spell a new token with its secret, which is shown this once, and where to use it."""
    return {"id": token.id, "source": token.source, "client": token.client, "token": secret, "url": url}


def revoked_json(token: ScimToken | None) -> Json:
    """Spell which token was revoked; null: it was revoked before."""
    return {"revoked": token_json(token) if token is not None else None}
