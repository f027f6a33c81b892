"""Answers about notices to sinks. Only `--json` uses them."""

from __future__ import annotations

from app.answers.answer import Json, fields_json
from app.domain.notice import Notice, StoredNotice


def notice_json(stored: StoredNotice) -> Json:
    """Spell a notice on its way to one sink."""
    return fields_json(stored)


def sent_json(sink: str, notice: Notice) -> Json:
    """Spell that a sink accepted a test notice."""
    return {"sink": sink, "notice": notice.id}
