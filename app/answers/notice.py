"""Answers about notices, which sinks are sent. Only `--json` asks."""

from __future__ import annotations

from app.answers.answer import Json, to_json
from app.domain.notice import Notice, StoredNotice


def notice_json(stored: StoredNotice) -> Json:
    """Spell a notice on its way to one sink."""
    spelled: Json = to_json(stored)
    return spelled


def sent_json(sink: str, notice: Notice) -> Json:
    """Spell that a sink took a test notice."""
    return {"sink": sink, "notice": notice.id}
