"""Probes: `/healthz` asks this process only, `/readyz` all that it needs to take a delivery and have it carried out."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Blueprint, Response, jsonify, request

from app.bootstrap import Process
from app.domain.errors import GateError
from app.store.migrate import is_current
from app.store.queue.wakes import QUEUES, broker_answers
from app.web.wire.watcher import Watchers

KEPT = timedelta(seconds=1)  # so that a stranger who asks often costs one look a second


class Readiness:
    """What this process needs, looked at once a second at most, whoever asks."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._seen: tuple[datetime, dict[str, str]] | None = None

    def checks(self) -> dict[str, str]:
        """Map each part to `ok`, or to what is wrong with it."""
        with self._lock:
            now = self._process.clock.now()
            if self._seen is None or not self._seen[0] <= now < self._seen[0] + KEPT:
                self._seen = (now, self._look())
            return self._seen[1]

    def _look(self) -> dict[str, str]:
        process = self._process
        checks = {
            "database": _status(process.reads.ping),
            "migrations": _status_unless(lambda: is_current(process.engine), "the schema is not at its newest version"),
            "signing keys": _status(lambda: process.published_keys.jwks()),
            "broker": _status_unless(lambda: broker_answers(process.celery), "the broker does not answer"),
        }
        return checks | {"consumers": self._consumers()} if process.queues_read is not None else checks

    def _consumers(self) -> str:
        assert self._process.queues_read is not None
        unread = sorted(set(QUEUES.values()) - set(self._process.queues_read()))
        return f"no worker reads {', '.join(unread)}: start the process that does" if unread else "ok"


def make_blueprint(process: Process) -> Blueprint:
    """Make the two probes."""
    blueprint = Blueprint("health", __name__)
    readiness, watchers = Readiness(process), Watchers(process.settings)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", content_type="text/plain; charset=utf-8")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        checks = readiness.checks()
        ready = all(status == "ok" for status in checks.values())
        told = {"checks": checks} if watchers.include(request) else {}
        return jsonify(ready=ready, **told), 200 if ready else 503

    return blueprint


def _status(check: Callable[[], object]) -> str:
    try:
        check()
    except GateError as fault:
        return str(fault)
    return "ok"


def _status_unless(check: Callable[[], bool], otherwise: str) -> str:
    try:
        return "ok" if check() else otherwise
    except GateError as fault:
        return str(fault)
