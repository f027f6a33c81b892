"""Put the Flask app together."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flask import Flask, request

from app.bootstrap import Process, build
from app.logs import configure_logs
from app.observe import start_sentry
from app.settings import load_settings
from app.web import events, health, metrics, wellknown
from app.web.api import api, decide
from app.web.api.operations import OPERATIONS
from app.web.people import account, login
from app.web.people.protect import protect
from app.web.people.refusals import watch_refusals
from app.web.people.sessions import WebSessions
from app.web.receiver import hooks
from app.web.receiver.front import Front, FrontLimits
from app.web.receiver.hooks import Quick
from app.web.scim import server as scim
from app.web.wire import errors
from app.web.wire.request import FAULT
from app.web.wire.transport_security import add_hsts

POOL_SIZE = 4  # group commit needs one connection; probes and key look-ups a few


def _in_a_thread(act: Callable[[], None]) -> None:
    """Run `act` in a thread, so that no delivery waits while it waits for the database."""
    threading.Thread(target=act, daemon=True).start()


def create_app(process: Process | None = None) -> Flask:
    """Make the receiver. Raises BadConfiguration if settings or tidegate.toml have faults."""
    if process is None:
        settings = load_settings()
        configure_logs(settings.log_format, settings.log_level)
        start_sentry(settings)
        process = build(settings, pool_size=POOL_SIZE, aside=_in_a_thread)
    process.services.guard()  # a faulty configuration stops the start, not the first delivery
    app = Flask(__name__)
    app.session_interface = WebSessions(process)
    for room in (hooks, events, decide, scim, wellknown, health, metrics, login, account, api):
        app.register_blueprint(room.make_blueprint(process))
    errors.register(app)
    app.before_request(_refuse_faulty)
    protect(app, process, {(o.method, o.path): o.needs for o in OPERATIONS})
    watch_refusals(app)
    add_hsts(app, process.settings)
    app.config["PROCESS"] = process
    return app


def create_front(app: Flask) -> Front:
    """Put the front before the app that `create_app` has made."""
    process: Process = app.config["PROCESS"]
    settings = process.settings
    limits = FrontLimits(settings.max_body_bytes, settings.body_seconds, settings.max_bytes_in_flight)
    return Front(app, limits, each_turn=process.inbox.hand_over_by, is_quick=Quick(process))


def _refuse_faulty() -> None:
    """Raise the fault that the front found in the request. The hooks raise it themselves, to answer in their own words."""
    fault = request.environ.get(FAULT)
    if fault is not None and request.blueprint != "hooks":
        raise fault
