"""All tables there are, for who must know them all: migrations and tests."""

from __future__ import annotations

from app.store import schema_access, schema_approvals, schema_freezes, schema_notices, schema_proposals, schema_pushes
from app.store.schema import metadata

__all__ = [
    "metadata",
    "schema_access",
    "schema_approvals",
    "schema_freezes",
    "schema_notices",
    "schema_proposals",
    "schema_pushes",
]
