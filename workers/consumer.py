"""Celery's consumer, sending what Flower is told in groups: each event by itself was an eighth of a worker's time."""

from __future__ import annotations

import time
from typing import Any

from celery.worker import consumer

TELL_EVERY = 0.1  # seconds


class Consumer(consumer.Consumer):
    """Flushes buffered task events at most ten times a second; named in `worker_consumer`."""

    hub: Any  # not in Celery's stubs, like what is overridden

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._told_at = -TELL_EVERY
        self._will_tell = False
        super().__init__(*args, **kwargs)

    def _flush_events(self) -> None:
        """Flush now, or at the end of the interval; always called on the loop's thread."""
        rest = self._told_at + TELL_EVERY - time.monotonic()
        if rest <= 0:
            self._tell()
        elif not self._will_tell:
            self._will_tell = True
            self.hub.call_later(rest, self._tell)

    def _tell(self) -> None:
        self._will_tell = False
        self._told_at = time.monotonic()
        upstream: Any = super()  # its stubs do not know it
        upstream._flush_events()
