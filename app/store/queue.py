"""Wakes: Celery messages with ids only, sent after the commit. Losing one costs time, never a deployment.

The tasks are named here and registered in workers/; `tests/test_architecture.py` keeps the names equal.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

from celery import Celery, chain, signature

from app.domain.deployment import STAGES, Stage

PLAN = "plan_delivery"
SWEEP = "sweep"
STAGE_QUEUE = "stages"
DEPLOY_QUEUE = "deploys"
QUEUES: dict[str, str] = {
    PLAN: STAGE_QUEUE,
    SWEEP: STAGE_QUEUE,
    Stage.VALIDATE_IDENTITY: STAGE_QUEUE,
    Stage.CHECK_PERMISSION: STAGE_QUEUE,
    Stage.INJECT_TOKEN: STAGE_QUEUE,
    Stage.DISPATCH_DEPLOY: DEPLOY_QUEUE,
    Stage.CONFIRM_DEPLOY: DEPLOY_QUEUE,
}
COALESCE_SECONDS = 0.05

_log = logging.getLogger(__name__)


def make_celery(redis_url: str) -> Celery:
    """Make the Celery app, alike for senders and workers.

    Messages are acknowledged when a task begins: what a dying worker had begun is sent again by the sweeper, from
    what the database knows, and nothing hangs on Redis' visibility timeout. JSON only, no result backend.
    """
    app = Celery("tidegate", broker=redis_url)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_default_queue=STAGE_QUEUE,
        task_create_missing_queues=True,
        task_publish_retry=False,
        task_acks_late=False,
        worker_prefetch_multiplier=2,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=3,
        broker_transport_options={
            "visibility_timeout": 3600,
            "socket_connect_timeout": 3,
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
    except Exception:  # every transport has its own errors; here they all mean no
        return False
    return True


def chain_from(app: Celery, deployment_id: str, correlation_id: str, stage: str) -> Any:
    """Make the chain of stages from `stage` to the last."""
    rest: Sequence[Stage] = STAGES[STAGES.index(Stage(stage)) :]
    return chain(*(_signature(app, s, deployment_id, correlation_id) for s in rest))


def _signature(app: Celery, stage: Stage, deployment_id: str, correlation_id: str) -> Any:
    return signature(
        stage.value,
        args=(deployment_id, correlation_id),
        app=app,
        immutable=True,
        queue=QUEUES[stage],
        ignore_result=True,
    )


class CeleryWakes:
    """Protocol: pipeline.services.Wakes.

    Wakes of the planner are coalesced: a thread sends the first at once and then at most one every 50 ms, each
    standing for all rows that came meanwhile (a publish costs more than a commit: docs/performance.md).
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._wanted = threading.Event()
        self._newest = ""
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def plan(self, delivery_id: str) -> None:
        """Say that the inbox holds something. Returns at once."""
        self._newest = delivery_id
        self._wanted.set()
        if self._thread is None or not self._thread.is_alive():
            self._start()

    def run(self, deployment_id: str, correlation_id: str, next_stage: str) -> None:
        """Send the chain of stages from `next_stage` on; if the broker is away the sweeper will do it again."""
        try:
            chain_from(self._app, deployment_id, correlation_id, next_stage).apply_async()
        except Exception as fault:
            _log.warning("wake not sent deployment=%s error=%s", deployment_id, type(fault).__name__)

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
                self._app.send_task(PLAN, args=(newest,), queue=STAGE_QUEUE, ignore_result=True, retry=False)
            except Exception as fault:  # the broker is away: the sweeper looks into the inbox by itself
                _log.warning("wake not sent delivery=%s error=%s", newest, type(fault).__name__)
            time.sleep(COALESCE_SECONDS)
