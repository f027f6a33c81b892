"""Answers about freezes. Only `--json` uses them."""

from __future__ import annotations

from app.answers.answer import Json, fields_json, to_json
from app.pipeline.freeze.freeze import Upcoming


def freeze_json(upcoming: Upcoming) -> Json:
    """Spell a freeze flat, with the window that is in force or comes next; `lasts` in seconds."""
    return fields_json(upcoming.freeze) | {
        "lasts": upcoming.freeze.lasts.total_seconds(),
        "is_in_force": upcoming.is_in_force,
        "window": to_json(upcoming.window),
        "fault": upcoming.fault,
    }
