"""The Celery app of workers, beat and Flower: `celery -A workers.celery:app worker`."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any

from celery.signals import (
    beat_init,
    celeryd_init,
    setup_logging,
    worker_init,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)

from app.bootstrap import Process, build, freeze_loaded
from app.domain.errors import GateError
from app.logs import configure_logs
from app.observe import start_sentry
from app.settings import Settings, forbid_inspection, load_settings, tell_ready
from app.store.queue.wakes import make_celery

SPARE_CONNECTIONS = 4  # for leases, beside one for each thread
MOST_CONNECTIONS = 16  # a stage holds a connection only while it reads or writes, never while it waits for a target


def _settings() -> Settings:
    try:
        return load_settings()
    except GateError as fault:
        sys.exit(str(fault))


settings = _settings()
app = make_celery(settings.redis_url.get_secret_value())
app.conf.update(imports=("workers.stages", "workers.periodic"), worker_consumer="workers.consumer:Consumer")
app.steps["consumer"].add("workers.consumer:ReportQueues")

_building = threading.Lock()
_process: Process | None = None
_threads = 1
stopping = threading.Event()  # long work checks this between its parts


def process() -> Process:
    """Return this process's services, built on first use (importing this module does not connect to anything)."""
    global _process
    with _building:
        if _process is None:
            pool_size = min(_threads + SPARE_CONNECTIONS, MOST_CONNECTIONS)
            _process = build(settings, celery=app, pool_size=pool_size, threads=_threads)
        return _process


@celeryd_init.connect
def _hide(**_: Any) -> None:
    """Hide this process from others of the same user, before it reads a key."""
    forbid_inspection()


@setup_logging.connect
def _set_up_logs(**_: Any) -> None:
    """Set up logs. A handler of this signal keeps Celery from setting up logs of its own."""
    configure_logs(settings.log_format, settings.log_level)


@worker_init.connect
def _count_threads(sender: Any, **_: Any) -> None:
    global _threads
    _threads = int(sender.concurrency or 1)


@worker_ready.connect
def _announce_ready(**_: Any) -> None:
    _prepare_keys()
    freeze_loaded()
    tell_ready()


def _prepare_keys() -> None:
    """Make or adopt the signing keys before the first token, if this process mints: the receiver may only publish them."""
    if settings.master_key is None:
        return
    try:
        process().keyring.current()
    except GateError as fault:  # tried again with the first token
        logging.getLogger(__name__).error("signing keys not prepared: %s", fault)


@worker_shutting_down.connect
def _begin_shutdown(**_: Any) -> None:
    stopping.set()


@worker_init.connect
@beat_init.connect
def _start_reporting(**_: Any) -> None:
    start_sentry(settings)


@worker_shutdown.connect
def _close_pool(**_: Any) -> None:
    if _process is not None:
        _process.engine.dispose()
