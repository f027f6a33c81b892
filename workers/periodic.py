"""What beat asks for: sweep every second. A tick that comes late is dropped, since the next one does the same."""

from __future__ import annotations

from app.pipeline.sweep import sweep
from app.store.queue import SWEEP, WAKE_QUEUE
from workers.celery import app, process
from workers.stages import waiting_out

app.conf.beat_schedule = {
    SWEEP: {"task": SWEEP, "schedule": 1.0, "options": {"queue": WAKE_QUEUE, "expires": 2.0, "ignore_result": True}}
}


@app.task(name=SWEEP)
def sweep_standing() -> None:
    """Start again whatever stands still."""
    with waiting_out(SWEEP):
        sweep(process().services)
