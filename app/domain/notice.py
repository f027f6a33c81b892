"""Notices to people and programs outside that something happened: one for each sink that wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.domain.audit import AuditAction
from app.domain.text import plain_line

ALSO_TO, ONLY_PERSON = "mail_to", "mail_to_person_only"  # in the detail: a person's own addresses, for mail sinks
LONGEST_SUBJECT = 200
MOST_LINES = 50
_UNSTORABLE = {code: "\N{REPLACEMENT CHARACTER}" for code in (0, *range(0xD800, 0xE000))}  # in Postgres, or in UTF-8


class NoticeEvent(StrEnum):
    """Events for sinks that are not audit actions. The audit log has them in the detail of another entry, or not at all."""

    DEPLOYMENT_UNCHECKED = "deployment:unchecked"
    NOTICE_TEST = "notice:test"


@dataclass(frozen=True, slots=True)
class Notice:
    """A message for sinks. `subject` is one line and `text` a few lines, for people; `detail` is for programs.

    `event` is an AuditAction (deployment:held) or a NoticeEvent. Its type is text, since a stored event may be of another
    release. A notice does not hold a secret. Here, text from outsiders is made fit to store and send, so that a notice never
    fails its step.
    """

    id: str
    at: datetime
    event: str
    subject: str
    text: str
    detail: dict[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "subject", plain_line(self.subject, LONGEST_SUBJECT))
        object.__setattr__(self, "text", "\n".join(plain_line(line) for line in self.text.splitlines()[:MOST_LINES]))
        object.__setattr__(self, "detail", _storable(self.detail))


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice on its way to one sink. Without `due_at` it has ended: see `sent_at` or `given_up_at`."""

    notice: Notice
    sink: str
    tries: int
    due_at: datetime | None
    sent_at: datetime | None
    given_up_at: datetime | None
    fault: str | None


def notice_event(text: str) -> AuditAction | NoticeEvent:
    """Return the event of this text; raises ValueError if sinks are never told of it."""
    try:
        return AuditAction(text)
    except ValueError:
        return NoticeEvent(text)


def wants(events: tuple[str, ...], event: str) -> bool:
    """Tell whether one of `events` (`subject:verb`, or `subject:*`) covers this event."""
    return event in events or f"{event.partition(':')[0]}:*" in events


def _storable(value: Any) -> Any:
    """Replace the characters that JSON allows and the database does not."""
    if isinstance(value, str):
        return value.translate(_UNSTORABLE)
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    return [_storable(item) for item in value] if isinstance(value, list | tuple) else value
