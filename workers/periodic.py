"""The tasks that beat asks for. A tick that comes late is dropped, since the next one does the same."""

from __future__ import annotations

import structlog

from app.integrations.repositories.protocol import Upkeep
from app.pipeline.intake.expire import expire
from app.pipeline.intake.maintain import maintain
from app.pipeline.intake.sweep import sweep
from app.pipeline.people.sync import due_sources, sync
from app.pipeline.tell.notify import due_sinks, notify
from app.store.queue.wakes import EXPIRE, MAINTAIN, NOTIFY, NOTIFY_DUE, SWEEP, SYNC, SYNC_DUE
from workers.celery import app, process, stopping
from workers.schedule import SCHEDULE
from workers.stages import bind_correlation, wait_out

_log = structlog.get_logger("tidegate.step")


app.conf.beat_schedule = SCHEDULE  # for a Procfile of an earlier release, whose beat is `-A workers.celery:app`


@app.task(name=SWEEP)
def sweep_standing() -> None:
    """Wake deliveries and deployments that stand still."""
    with wait_out(SWEEP):
        sweep(process().services)


@app.task(name=SYNC_DUE)
def sync_due() -> None:
    """Have each identity source read if it is due."""
    with wait_out(SYNC_DUE):
        services = process().services
        for source in due_sources(services):
            services.wakes.sync(source)


@app.task(name=SYNC)
def sync_source(source: str) -> None:
    """Read one identity source, as far as it is due."""
    with bind_correlation(step=SYNC, source=source), wait_out(SYNC):
        reading = sync(process().services, source)
        if not reading.is_taken:
            outcome = "read whole" if reading.is_whole else "read"
            _log.info("step", outcome=outcome, identities=reading.identities, groups=reading.groups, changes=reading.changes)


@app.task(name=NOTIFY_DUE)
def notify_due() -> None:
    """Have the due notices of each sink sent."""
    with wait_out(NOTIFY_DUE):
        services = process().services
        for sink in due_sinks(services):
            services.wakes.notify_sink(sink)


@app.task(name=NOTIFY)
def notify_sink(sink: str) -> None:
    """Send one sink its due notices."""
    with bind_correlation(step=NOTIFY, sink=sink), wait_out(NOTIFY):
        services = process().services
        result = notify(services, sink, is_stopping=stopping.is_set)
        if result.has_more:
            services.wakes.notify_sink(sink)
        if result.sent or result.fault:
            log = _log.warning if result.fault else _log.info
            log("step", outcome="told", sent=result.sent, given_up=result.given_up, fault=result.fault)


@app.task(name=EXPIRE)
def expire_old() -> None:
    """Delete rows that are kept only for a time."""
    with wait_out(EXPIRE):
        expire(process().services)


@app.task(name=MAINTAIN)
def maintain_mirrors() -> None:
    """Do the upkeep of the mirrors that are due. Two at once do no harm: each mirror has one lock."""
    with wait_out(MAINTAIN):
        for done in maintain(process().services, stopping.is_set):
            if done.fault is not None:
                _log.warning("step", step=MAINTAIN, outcome="later", repository=done.repository, detail=str(done.fault))
            elif done.upkeep is not Upkeep.NOT_DUE:
                _log.info("step", step=MAINTAIN, outcome=done.upkeep, repository=done.repository)
