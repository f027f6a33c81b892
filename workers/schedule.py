"""What beat asks for, and how often. Each task is in `periodic.py`; a tick that comes late is dropped."""

from __future__ import annotations

from app.store.queue.wakes import EXPIRE, MAINTAIN, NOTIFY_DUE, QUEUES, SWEEP, SYNC_DUE


def _every(seconds: float, task: str) -> dict[str, object]:
    expires = max(2.0, seconds)
    return {"task": task, "schedule": seconds, "options": {"queue": QUEUES[task], "expires": expires, "ignore_result": True}}


SCHEDULE = {
    SWEEP: _every(1.0, SWEEP),
    SYNC_DUE: _every(5.0, SYNC_DUE),
    NOTIFY_DUE: _every(5.0, NOTIFY_DUE),
    EXPIRE: _every(300.0, EXPIRE),
    MAINTAIN: _every(3600.0, MAINTAIN),
}
