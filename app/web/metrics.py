"""`/metrics` for Prometheus. Deliveries are counted here; the rest is read from the database at each scrape.

Stage durations are observed from the rows that ended since the last scrape, so one receiver reports the workers of all
hosts. With several receivers, scrape these metrics from one of them: each reports all.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import datetime, timedelta

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from app.bootstrap import Process
from app.domain.deployment import State
from app.domain.errors import BadConfiguration, StoreUnavailable
from app.web.wire.watcher import Watchers

MARGIN = timedelta(seconds=2)  # a row may be committed a little after the time that it bears
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)

_deliveries = Counter("tidegate_deliveries", "Deliveries by outcome.", ["forge", "outcome"], registry=None)

_refusals = Counter("tidegate_refusals", "Refused requests by room and outcome.", ["room", "outcome", "caller"], registry=None)


def count_refusal(room: str, outcome: str, *, is_known: bool) -> None:
    """Count a refusal. All labels are the gate's own words, so that strangers cannot add any."""
    _refusals.labels(room, outcome, "known" if is_known else "stranger").inc()


def count_delivery(forge: str, outcome: str) -> None:
    """Count a delivery; `forge` is a configured name or `unknown`, so that strangers cannot add labels."""
    _deliveries.labels(forge, outcome).inc()


class Metrics:
    """The metrics of one receiver."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(_deliveries)
        self._registry.register(_refusals)
        self._stages = Histogram(
            "tidegate_stage_seconds", "How long stages took.", ["stage"], buckets=BUCKETS, registry=self._registry
        )
        self._age = Gauge("tidegate_queue_age_seconds", "How long the oldest one has waited.", ["queue"], registry=self._registry)
        self._states = Gauge("tidegate_deployments", "Deployments by state.", ["state"], registry=self._registry)
        self._spool = Gauge(
            "tidegate_spool_bytes", "Bytes of deliveries that wait on disk for the database.", registry=self._registry
        )
        self._up = Gauge("tidegate_database_up", "Whether the database answers.", registry=self._registry)
        self._foreign_keys = Gauge(
            "tidegate_foreign_signing_keys", "Rows of signing_keys that the gate did not endorse.", registry=self._registry
        )
        self._read_until: datetime = process.clock.now() - MARGIN

    def text(self) -> bytes:
        """Render the metrics; those of the database are left as they were if it does not answer."""
        with self._lock:
            self._spool.set(self._process.spool.bytes if self._process.spool else 0)
            try:
                self._read()
                self._up.set(1)
            except StoreUnavailable:
                self._up.set(0)
            return generate_latest(self._registry)

    def _read(self) -> None:
        reads = self._process.reads
        until = self._process.clock.now() - MARGIN
        for stage, seconds in reads.stages_finished(self._read_until, until):
            self._stages.labels(stage).observe(seconds)
        self._read_until = until
        counts = reads.counts_by_state()
        for state in State:
            self._states.labels(state.value).set(counts.get(state.value, 0))
        with suppress(BadConfiguration):  # nothing is set by which to tell them; readiness says so
            self._foreign_keys.set(self._process.published_keys.count_foreign())
        age = reads.queue_age()
        self._age.labels("deliveries").set(age.deliveries)
        self._age.labels("deployments").set(age.deployments)


def make_blueprint(process: Process) -> Blueprint:
    """Make the scrape route."""
    blueprint = Blueprint("metrics", __name__)
    metrics, watchers = Metrics(process), Watchers(process.settings)

    @blueprint.get("/metrics")
    def scrape() -> Response:
        watchers.check(request)
        return Response(metrics.text(), content_type=CONTENT_TYPE_LATEST)

    return blueprint
