"""Policies by name, as commands take them: a folder, or the digest of a kept version."""

from __future__ import annotations

from pathlib import Path

from app.domain.errors import NotFound
from app.domain.recorded import PolicyVersion
from app.integrations.policy.cedar import CedarPolicy, load
from app.store.decisions import Decisions


def policy_of(version: PolicyVersion) -> CedarPolicy:
    """Return a kept version as it decided then; raises NotFound if it was kept without its schema, and BadConfiguration."""
    if version.schema is None:
        raise NotFound(f"version {version.digest[:12]} was kept without its schema, so it cannot decide anything")
    return CedarPolicy.from_version(version.text, version.schema, version.digest)


def policy_named(decisions: Decisions, name: str) -> CedarPolicy:
    """Load a folder or a kept version; raises NotFound, BadConfiguration and StoreUnavailable."""
    return load(Path(name)) if Path(name).is_dir() else policy_of(decisions.version(name))
