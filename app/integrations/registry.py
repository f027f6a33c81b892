"""Which class stands behind a configured kind; imported on first use (the only dynamic import)."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from app.domain.errors import BadConfiguration

FORGES = {
    "gogs": "app.integrations.forges.gogs:Gogs",
    "gitea": "app.integrations.forges.gitea:Gitea",
    "forgejo": "app.integrations.forges.forgejo:Forgejo",
}
TARGETS = {
    "directory": "app.integrations.targets.directory:Directory",
    "webhook": "app.integrations.targets.webhook:Webhook",
    "command": "app.integrations.targets.command:Command",
}


def forge_class(kind: str) -> Any:
    """Return the adapter class of a forge kind; raises BadConfiguration."""
    return _load(_spec(FORGES, "forge", kind))


def target_class(kind: str) -> Any:
    """Return the adapter class of a target kind; raises BadConfiguration."""
    return _load(_spec(TARGETS, "target", kind))


def target_options(kind: str) -> type[BaseModel]:
    """Return the pydantic model of a target kind's own keys; raises BadConfiguration."""
    module = _spec(TARGETS, "target", kind).partition(":")[0]
    options: type[BaseModel] = _load(f"{module}:Options")
    return options


def _spec(table: dict[str, str], what: str, kind: str) -> str:
    if kind not in table:
        raise BadConfiguration([f"unknown {what} kind {kind!r}; known: {', '.join(sorted(table))}"])
    return table[kind]


@cache
def _load(spec: str) -> Any:
    module, _, name = spec.partition(":")
    return getattr(import_module(module), name)
