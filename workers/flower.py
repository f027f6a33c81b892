"""Flower's Celery app: `celery -A workers.flower:app flower`. Its `/metrics` wants the password that its pages want.

Flower 2.2 serves `/metrics` to everybody (flower/views/monitor.py), with the names of tasks and workers.
"""

from __future__ import annotations

import logging

from flower.views import monitor
from tornado.web import authenticated

from app.settings import forbid_inspection
from workers.transport import app

__all__ = ["app"]

forbid_inspection()
logging.getLogger("flower.inspector").setLevel(logging.ERROR)  # workers take no remote control: each inspection would warn
monitor.Metrics.get = authenticated(monitor.Metrics.get)
