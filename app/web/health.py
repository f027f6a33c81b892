"""Probes: `/healthz` asks this process only, `/readyz` all that it needs to take a delivery and have it carried out."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, jsonify

from app.bootstrap import Process
from app.domain.errors import GateError
from app.store.migrate import is_current
from app.store.queue.wakes import broker_answers


def make_blueprint(process: Process) -> Blueprint:
    """Make the two probes."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", content_type="text/plain; charset=utf-8")

    @blueprint.get("/readyz")
    def readyz() -> tuple[Response, int]:
        checks = {
            "database": _status(process.reads.ping),
            "migrations": _status_unless(lambda: is_current(process.engine), "the schema is not at its newest version"),
            "broker": _status_unless(lambda: broker_answers(process.celery), "the broker does not answer"),
        }
        ready = all(status == "ok" for status in checks.values())
        return jsonify(ready=ready, checks=checks), 200 if ready else 503

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
