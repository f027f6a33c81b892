"""Read from a delivery, whatever its event is, which repository it names. A secret may be good for some repositories only."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from app.integrations.forges.protocol import VerifiedPayload


class _Repository(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    full_name: str


class _Named(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")

    repository: _Repository


def repository_of(payload: VerifiedPayload) -> str | None:
    """Return `OWNER/NAME`, or None if the body names no repository."""
    try:
        return _Named.model_validate_json(payload.json).repository.full_name
    except (ValidationError, RecursionError, UnicodeError):
        return None
