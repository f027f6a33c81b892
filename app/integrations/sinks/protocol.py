"""What every sink does: take a notice, or say whether that may change."""

from __future__ import annotations

from typing import Protocol

from app.domain.notice import Notice

LONGEST_TIMEOUT = 30.0  # seconds; `pipeline/tell/notify.py` leases a notice for longer than this


class Sink(Protocol):
    """Somebody, or a program, that is told what happened."""

    def emit(self, notice: Notice) -> None:
        """Hand the notice over; it may come again under the same id, which the receiver is given to drop repeats by.

        Raises SinkUnavailable (try again) or SinkRefused (this notice will never be taken, or not for all).
        """
        ...
