"""Answers about the gate itself: its configuration, and its check inside Gogs. Only `--json` uses them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.answers.answer import Json, to_json
from app.domain.environment import Environment
from app.integrations.forges.pre_receive import Removal


def configuration_json(digest: str, environments: Sequence[Environment]) -> Json:
    """Spell a configuration without faults."""
    return {"digest": digest, "environments": to_json(environments)}


def installed_json(repository: Path, *, is_closed: bool, kept: Path | None) -> Json:
    """Spell that the check was installed; `kept` is the script that it replaced."""
    return {"installed": str(repository), "fails": "closed" if is_closed else "open", "kept": _path(kept)}


def removed_json(removal: Removal) -> Json:
    """Spell that the check was removed; `restored` is the script that is back."""
    return {"removed": removal.was_there, "restored": _path(removal.restored)}


def _path(path: Path | None) -> str | None:
    return str(path) if path is not None else None
