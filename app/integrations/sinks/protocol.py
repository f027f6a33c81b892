"""The protocol of sinks: take a notice, or say whether a later try may succeed."""

from __future__ import annotations

from typing import Protocol

from app.domain.notice import Notice

LONGEST_TIMEOUT = 30.0  # seconds; `pipeline/tell/notify.py` leases a notice for longer than this


class Sink(Protocol):
    """A person or program that is told what happened."""

    def emit(self, notice: Notice) -> None:
        """Hand the notice over. It may come again under the same id; the receiver gets the id, to drop repeats.

        Raises SinkUnavailable (try again) or SinkRefused (this notice will never be taken, or not by all recipients).
        """
        ...
