"""Which queues are read: each worker renews a key with the names of its queues. Readiness asks for them (`web/health.py`).

Remote control is off, so that a writer of Redis cannot stop the workers; so they are not asked, they report. The report comes
from the loop that fetches messages (`workers/consumer.py`): if it hangs, or cannot reach the broker, the key runs out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from celery import Celery

from app.store.queue.wakes import QUEUE_NAMES

REPORT_EVERY = 10.0  # seconds
REPORT_LASTS = 35  # seconds: three reports may be lost
_KEY = "tidegate.consumer."


def report_reader(connection: Any, worker: str, queues: Iterable[str]) -> None:
    """Say that this worker reads these queues now. Brokers other than Redis know their consumers by themselves."""
    if connection.transport.driver_type == "redis":
        with connection.default_channel.conn_or_acquire() as client:
            client.set(f"{_KEY}{worker}", ",".join(sorted(queues)), ex=REPORT_LASTS)


def consumers(app: Celery) -> set[str]:
    """Return the names of the queues that a worker reads now; none if the broker does not answer."""
    return set().union(*readers(app).values())


def readers(app: Celery) -> dict[str, set[str]]:
    """Map each worker that reported lately to the queues that it reads. Brokers other than Redis count as one worker."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
            if connection.transport.driver_type == "redis":
                return _reports(connection)
            return {"broker": {queue for queue in QUEUE_NAMES if _consumer_count(connection, queue)}}
    except Exception:  # every transport has its own errors; here all of them mean that nothing is known to be read
        return {}


def _reports(connection: Any) -> dict[str, set[str]]:
    with connection.default_channel.conn_or_acquire() as client:
        keys = [key.decode() for key in client.scan_iter(match=f"{_KEY}*", count=1000)]
        reports = client.mget(keys) if keys else []
    return {
        key.removeprefix(_KEY): set(report.decode().split(","))
        for key, report in zip(keys, reports, strict=True)
        if report is not None  # it ran out between the two questions
    }


def _consumer_count(connection: Any, queue: str) -> int:
    """Ask the broker how many consumers a queue has; a queue that does not exist has none."""
    try:
        return int(connection.default_channel.queue_declare(queue, passive=True).consumer_count)
    except connection.channel_errors:
        return 0
