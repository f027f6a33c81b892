"""Answers about the bearer tokens of SCIM clients. Only `--json` uses them; answers to SCIM clients are in `web/scim/`."""

from __future__ import annotations

from app.answers.answer import Json, fields_json
from app.domain.scim import ScimToken


def token_json(token: ScimToken) -> Json:
    """Spell a token, without its secret."""
    return fields_json(token)


def created_json(token: ScimToken, *, secret: str, url: str) -> Json:
    """Spell a new token with its secret, which is shown only once, and the URL to use it at."""
    return {"id": token.id, "source": token.source, "client": token.client, "token": secret, "url": url}


def revoked_json(token: ScimToken | None) -> Json:
    """Spell the token that was revoked; null if it was revoked before."""
    return {"revoked": token_json(token) if token is not None else None}
