"""What people and programs outside are told: that something happened, once for each sink that wants to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from app.domain.audit import AuditAction
from app.domain.text import plain_line

LONGEST_SUBJECT = 200
MOST_LINES = 50
_UNTAKEN = {code: "\N{REPLACEMENT CHARACTER}" for code in (0, *range(0xD800, 0xE000))}  # by Postgres, or by UTF-8


class NoticeEvent(StrEnum):
    """What sinks are told of beside audit actions. The audit log tells it in the detail of another entry, or not at all."""

    DEPLOYMENT_UNCHECKED = "deployment:unchecked"
    NOTICE_TEST = "notice:test"


@dataclass(frozen=True, slots=True)
class Notice:
    """`event` is an AuditAction (deployment:held) or a NoticeEvent. `subject` is one line and `text` a few, for people.

    `detail` is for programs. An event that is read back may be that of another release, so it is a text. No secret is in it.
    What outsiders may have put in is made fit to be kept and sent here: a notice never fails its step.
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
        object.__setattr__(self, "detail", _kept(self.detail))


@dataclass(frozen=True, slots=True)
class StoredNotice:
    """A notice on its way to one sink. Without `due_at` it has ended: `sent_at`, or `given_up_at`."""

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
    """Tell whether one of `events` (`subject:verb`, or `subject:*`) is this one."""
    return event in events or f"{event.partition(':')[0]}:*" in events


def _kept(value: Any) -> Any:
    """Replace the characters that JSON allows and the database does not take."""
    if isinstance(value, str):
        return value.translate(_UNTAKEN)
    if isinstance(value, dict):
        return {_kept(key): _kept(each) for key, each in value.items()}
    return [_kept(each) for each in value] if isinstance(value, list | tuple) else value
