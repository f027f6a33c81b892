"""All tables there are, for who must know them all: migrations and tests."""

from __future__ import annotations

from app.store.schema import access as schema_access
from app.store.schema import approvals as schema_approvals
from app.store.schema import freezes as schema_freezes
from app.store.schema import notices as schema_notices
from app.store.schema import proposals as schema_proposals
from app.store.schema import pushes as schema_pushes
from app.store.schema.line import metadata

__all__ = [
    "metadata",
    "schema_access",
    "schema_approvals",
    "schema_freezes",
    "schema_notices",
    "schema_proposals",
    "schema_pushes",
]
