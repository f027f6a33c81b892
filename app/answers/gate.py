"""Answers about the gate itself: its configuration and environments, and its check inside Gogs. Only `--json` uses them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from app.answers.answer import Json, to_json
from app.domain.environment import Environment
from app.domain.push import Baseline
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


def environment_json(environment: Environment, release: str | None, baselines: Sequence[Baseline]) -> Json:
    """Spell an environment with the commit of its release, and the histories that it accepts unseen."""
    about = {"name": environment.name, "repository": environment.repository, "repository_id": environment.repository_id}
    more = {"deploys": environment.deploys, "targets": environment.targets, "release": release, "baselines": baselines}
    return {name: to_json(value) for name, value in {**about, **more}.items()}


def _path(path: Path | None) -> str | None:
    return str(path) if path is not None else None
