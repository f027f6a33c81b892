"""Celery's consumer: sends task events for Flower in groups, and reports which queues it reads.

Sending each event alone took an eighth of a worker's time.
"""

from __future__ import annotations

import time
from typing import Any

from celery import bootsteps
from celery.worker import consumer
from celery.worker.consumer.tasks import Tasks

from app.store.queue.consumers import REPORT_EVERY, report_reader

FLUSH_EVERY = 0.1  # seconds


class Consumer(consumer.Consumer):
    """Flushes buffered task events at most ten times a second; named in `worker_consumer`."""

    hub: Any  # not in Celery's stubs, like the overridden method

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._flushed_at = -FLUSH_EVERY
        self._will_flush = False
        super().__init__(*args, **kwargs)

    def _flush_events(self) -> None:
        """Flush now, or at the end of the interval; always called on the loop's thread."""
        rest = self._flushed_at + FLUSH_EVERY - time.monotonic()
        if rest <= 0:
            self._flush_now()
        elif not self._will_flush:
            self._will_flush = True
            self.hub.call_later(rest, self._flush_now)

    def _flush_now(self) -> None:
        self._will_flush = False
        self._flushed_at = time.monotonic()
        upstream: Any = super()  # the method is not in its stubs
        upstream._flush_events()


class ReportQueues(bootsteps.StartStopStep):
    """Reports the queues that this worker reads, for as long as its loop turns and the broker answers."""

    requires = (Tasks,)
    _timer: Any = None

    def start(self, c: Any) -> None:
        """Report now and every few seconds."""
        self._report(c)
        self._timer = c.timer.call_repeatedly(REPORT_EVERY, self._report, (c,))

    def stop(self, c: Any) -> None:
        """Let the last report run out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report(self, c: Any) -> None:
        report_reader(c.connection, f"{c.hostname}.{c.pid}", [queue.name for queue in c.task_consumer.queues])
