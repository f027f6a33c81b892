"""Answers about the audit log. The API has none yet; `docs/audit-format.md` describes what `--json` prints."""

from __future__ import annotations

from collections.abc import Iterable

from app.answers.answer import Json, fields_json
from app.domain.audit import AuditEntry


def entry_json(entry: AuditEntry) -> Json:
    """Spell an audit entry for `--json`."""
    return fields_json(entry)


def entries_json(entries: Iterable[AuditEntry]) -> list[Json]:
    """Spell audit entries for `--json`, in their order."""
    return [entry_json(entry) for entry in entries]
