"""Wakes: Celery messages that hold only ids, sent after the commit. Losing one costs time, never a deployment.

The tasks are named here and registered in workers/; `tests/test_architecture.py` keeps the names equal.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from celery import Celery, chain, signature

from app.domain.deployment import STAGES, Stage, Wake
from app.store.queue.broker import queue_named, tls_for, transport_for

PLAN = "plan_delivery"
RESOLVE = "resolve_delivery"
SWEEP = "sweep"
SYNC = "sync_source"
SYNC_DUE = "sync_due"
EXPIRE = "expire"
NOTIFY = "notify"
NOTIFY_DUE = "notify_due"
MAINTAIN = "maintain_mirrors"
WAKE_QUEUE = "wakes"  # tasks that wake others do not queue behind the tasks that they wake
STAGE_QUEUE = "stages"
COMMIT_QUEUE = "commits"  # all that asks git about a repository at a forge: a slow one holds up nothing else
DEPLOY_QUEUE = "deploys"
SLOW_DEPLOY_QUEUE = "slow_deploys"
QUEUE_NAMES = (WAKE_QUEUE, STAGE_QUEUE, COMMIT_QUEUE, DEPLOY_QUEUE, SLOW_DEPLOY_QUEUE)
QUEUES: dict[str, str] = {
    PLAN: WAKE_QUEUE,
    SWEEP: WAKE_QUEUE,
    SYNC_DUE: WAKE_QUEUE,
    EXPIRE: WAKE_QUEUE,
    NOTIFY_DUE: WAKE_QUEUE,
    SYNC: SLOW_DEPLOY_QUEUE,  # a directory may take a minute to be read
    NOTIFY: SLOW_DEPLOY_QUEUE,  # a sink may be slow to answer
    MAINTAIN: SLOW_DEPLOY_QUEUE,  # git may take minutes to repack a large mirror
    RESOLVE: COMMIT_QUEUE,
    Stage.VALIDATE_IDENTITY: COMMIT_QUEUE,
    Stage.CHECK_PERMISSION: STAGE_QUEUE,
    Stage.INJECT_TOKEN: STAGE_QUEUE,
    Stage.DISPATCH_DEPLOY: DEPLOY_QUEUE,
    Stage.CONFIRM_DEPLOY: DEPLOY_QUEUE,
}
COALESCE_SECONDS = 0.05

MayBlock = Callable[[str, Stage], bool]  # whether this stage of this environment may wait long for an answer from outside

_log = logging.getLogger(__name__)


def make_celery(redis_url: str) -> Celery:
    """Make the Celery app, the same for senders and workers.

    On Redis messages are not acknowledged; on other brokers they are when a task begins (`broker.py`). If a worker dies, the
    sweeper sends its messages again, from the database, and nothing depends on a visibility timeout. A message is fetched only
    when a thread is free for it. A message fetched earlier would wait behind a long stage, perhaps in a worker that is
    stopping, while others are idle. JSON only, no result backend.
    """
    app = Celery("tidegate", broker=redis_url)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        broker_transport=transport_for(redis_url),
        broker_use_ssl=tls_for(redis_url),
        task_queues=[queue_named(name, redis_url) for name in QUEUE_NAMES],
        task_default_queue=STAGE_QUEUE,
        task_create_missing_queues=True,
        task_publish_retry=False,
        task_acks_late=False,
        worker_prefetch_multiplier=2,
        worker_disable_prefetch=True,
        worker_send_task_events=True,
        worker_enable_remote_control=False,  # a writer of Redis could stop every consumer in silence (`consumers.py`)
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=3,
        broker_transport_options={
            "visibility_timeout": 3600,
            "socket_connect_timeout": 3,
            # A sender waits out only a short outage of the broker: the sweeper sends the wakes that were not sent.
            "max_retries": 2,
            "interval_start": 0.2,
            "interval_step": 0.3,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        timezone="UTC",
    )
    return app


def broker_answers(app: Celery) -> bool:
    """Tell whether the broker takes connections now."""
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except Exception:  # every transport has its own errors; here all of them mean no
        return False
    return True


def queue_of(stage: Stage, may_block: bool) -> str:
    """Return the queue of a stage's message. A stage that may wait long for an answer has a pool of its own."""
    queue = QUEUES[stage]
    return SLOW_DEPLOY_QUEUE if may_block and queue == DEPLOY_QUEUE else queue


def chain_from(app: Celery, wake: Wake, may_block: MayBlock) -> Any:
    """Make the chain of stages from the wake's to the last."""
    rest: Sequence[Stage] = STAGES[STAGES.index(wake.stage) :]
    return chain(*(_signature(app, s, wake, queue_of(s, may_block(wake.environment, s))) for s in rest))


def _signature(app: Celery, stage: Stage, wake: Wake, queue: str) -> Any:
    args = (wake.deployment_id, wake.correlation_id)
    return signature(stage.value, args=args, app=app, immutable=True, queue=queue, ignore_result=True)


def _length(connection: Any, queue: str) -> int:
    """Count the waiting messages; a queue that does not exist is empty."""
    try:
        return int(connection.default_channel.queue_declare(queue, passive=True).message_count)
    except connection.channel_errors:
        return 0


class CeleryWakes:
    """The sender of wakes (protocol: `pipeline.ports.services.Wakes`).

    Wakes of the planner are coalesced: a thread sends the first at once, and then at most one every 50 ms. Each stands for all
    rows that came meanwhile (a publish costs more than a commit: docs/performance.md).
    """

    def __init__(self, app: Celery, may_block: MayBlock, longest_queue: int) -> None:
        self._app = app
        self._may_block = may_block
        self._longest = longest_queue
        self._wanted = threading.Event()
        self._newest = ""
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def plan(self, delivery_id: str) -> None:
        """Say that the inbox holds a new delivery. Returns at once."""
        self._newest = delivery_id
        self._wanted.set()
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def run(self, wake: Wake) -> None:
        """Send the chain of stages from the wake's stage on. If the broker is away, the sweeper sends it later."""
        try:
            chain_from(self._app, wake, self._may_block).apply_async()
        except Exception as fault:
            _log.warning("wake not sent deployment=%s error=%s", wake.deployment_id, type(fault).__name__)

    def resolve(self, delivery_id: str) -> None:
        """Have the commit of a tag found at its forge. If the broker is away, the sweeper has it planned again."""
        try:
            self._app.send_task(RESOLVE, args=(delivery_id,), queue=QUEUES[RESOLVE], ignore_result=True, retry=False)
        except Exception as fault:
            _log.warning("wake not sent delivery=%s error=%s", delivery_id, type(fault).__name__)

    def sync(self, source: str) -> None:
        """Have a source read again. If the broker is away, beat asks for it later."""
        try:
            self._app.send_task(SYNC, args=(source,), queue=QUEUES[SYNC], ignore_result=True, retry=False)
        except Exception as fault:
            _log.warning("wake not sent source=%s error=%s", source, type(fault).__name__)

    def notify(self) -> None:
        """Say that notices are due. If the broker is away, beat asks for them later."""
        try:
            self._app.send_task(NOTIFY_DUE, queue=QUEUES[NOTIFY_DUE], ignore_result=True, retry=False)
        except Exception as fault:
            _log.warning("wake not sent task=%s error=%s", NOTIFY_DUE, type(fault).__name__)

    def notify_sink(self, sink: str) -> None:
        """Have one sink's due notices sent. If the broker is away, beat asks for them later."""
        try:
            self._app.send_task(NOTIFY, args=(sink,), queue=QUEUES[NOTIFY], ignore_result=True, retry=False)
        except Exception as fault:
            _log.warning("wake not sent sink=%s error=%s", sink, type(fault).__name__)

    def repeat(self, wakes: Sequence[Wake]) -> None:
        """Send wakes again that may be lost. If a queue is long, they are late, not lost, and nothing is sent to it."""
        if not wakes:
            return
        by_queue: dict[str, list[Wake]] = {}
        for wake in wakes:
            by_queue.setdefault(queue_of(wake.stage, self._may_block(wake.environment, wake.stage)), []).append(wake)
        try:
            with self._app.connection_for_write() as connection:
                room = {queue: max(0, self._longest - _length(connection, queue)) for queue in by_queue}
        except Exception as fault:
            _log.warning("wakes not sent count=%d error=%s", len(wakes), type(fault).__name__)
            return
        for queue, queued in by_queue.items():
            for wake in queued[: room[queue]]:
                self.run(wake)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._send_plans, name="wakes", daemon=True)
                self._thread.start()

    def _send_plans(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            newest = self._newest
            try:
                self._app.send_task(PLAN, args=(newest,), queue=WAKE_QUEUE, ignore_result=True, retry=False)
            except Exception as fault:  # the broker is away: the sweeper looks into the inbox by itself
                _log.warning("wake not sent delivery=%s error=%s", newest, type(fault).__name__)
            time.sleep(COALESCE_SECONDS)
