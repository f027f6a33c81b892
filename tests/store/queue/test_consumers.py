"""Which queues are read, as readiness asks: reported by each worker's loop, and forgotten when a worker falls silent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from app.stack.redis import EmbeddedRedis
from app.store.queue import consumers as module
from app.store.queue.consumers import consumers, readers, report_reader
from app.store.queue.wakes import QUEUE_NAMES, STAGE_QUEUE, WAKE_QUEUE, make_celery
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[3]
WORKER = ("-m", "celery", "--quiet", "-A", "workers.celery:app", "worker", "-n", "one@%h", "--pool", "threads", "-E")
QUIET = ("--concurrency", "2", "--without-mingle", "--without-gossip", "--loglevel", "WARNING")


def client_of(app: Celery) -> Any:
    """Return a client of Redis, which kombu's types do not know."""
    channel: Any = app.connection_for_write().default_channel
    return channel.client


@pytest.fixture
def celery(redis_server: EmbeddedRedis) -> Iterator[Celery]:
    app = make_celery(redis_server.url())
    client_of(app).flushdb()
    yield app
    app.close()


@pytest.fixture
def worker(redis_server: EmbeddedRedis, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker that reads two queues, and no database."""
    env = {"TIDEGATE_DATABASE_URL": "postgresql+psycopg://nobody@127.0.0.1:1/none", "TIDEGATE_REDIS_URL": redis_server.url()}
    command = [sys.executable, *WORKER, *QUIET, "-Q", f"{STAGE_QUEUE},{WAKE_QUEUE}"]
    more = {"TIDEGATE_STATE_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    process = subprocess.Popen(command, cwd=ROOT, env=env | more, start_new_session=True)
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_worker_reports_what_it_reads_and_cannot_be_told_to_stop(
    celery: Celery, worker: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By remote control, a writer of Redis could cancel every consumer, and readiness would go on saying ok."""
    assert consumers(celery) == set()
    until(lambda: consumers(celery) == {STAGE_QUEUE, WAKE_QUEUE}, "the worker reports")
    assert [name.partition("@")[0] for name in readers(celery)] == ["one"]
    for queue in (STAGE_QUEUE, WAKE_QUEUE):
        assert celery.control.cancel_consumer(queue, reply=True, timeout=1.0) == []
    assert celery.control.ping(timeout=1.0) == []
    celery.send_task("nothing", queue=STAGE_QUEUE)  # unknown: read and dropped
    until(lambda: client_of(celery).llen(STAGE_QUEUE) == 0, "the queue is still read")
    key = next(client_of(celery).scan_iter(match="tidegate.consumer.*"))
    assert 0 < client_of(celery).ttl(key) <= module.REPORT_LASTS


def test_a_worker_that_falls_silent_is_forgotten(celery: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPORT_LASTS", 1)
    with celery.connection_for_write() as connection:
        report_reader(connection, "one@here.1", [STAGE_QUEUE])
    assert consumers(celery) == {STAGE_QUEUE}
    until(lambda: consumers(celery) == set(), "the report has run out")


def test_several_workers_together_read_every_queue(celery: Celery) -> None:
    with celery.connection_for_write() as connection:
        for number, queue in enumerate(QUEUE_NAMES):
            report_reader(connection, f"one@here.{number}", [queue])
    assert consumers(celery) == set(QUEUE_NAMES)


def test_a_broker_that_is_away_has_no_consumers() -> None:
    app = make_celery("redis://127.0.0.1:1/0")
    assert consumers(app) == set()
    app.close()
