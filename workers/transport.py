"""The Celery app of beat and Flower: `celery -A workers.transport:app beat`. They know the broker, and nothing else.

Neither has the database's URL, a key, or the rules: Flower is a page that people reach, and beat only sends names of tasks.
"""

from __future__ import annotations

import sys
from typing import Any

from celery.signals import beat_init, setup_logging

from app.domain.errors import GateError
from app.logs import configure_logs
from app.observe import start_sentry
from app.settings import Transport, forbid_inspection, load_transport
from app.store.queue.wakes import make_celery
from workers.schedule import SCHEDULE


def _settings() -> Transport:
    try:
        return load_transport()
    except GateError as fault:
        sys.exit(str(fault))


settings = _settings()
app = make_celery(settings.redis_url.get_secret_value())
app.conf.beat_schedule = SCHEDULE


@setup_logging.connect
def _set_up_logs(**_: Any) -> None:
    """Set up logs. A handler of this signal keeps Celery from setting up logs of its own."""
    configure_logs(settings.log_format, settings.log_level)


@beat_init.connect
def _begin(**_: Any) -> None:
    forbid_inspection()
    start_sentry(settings)
