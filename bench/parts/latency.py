"""From the receipt of a push to its dispatch, on an idle stack, and where the time goes."""

from __future__ import annotations

import statistics
from typing import Any

from app.domain.deployment import Stage
from app.store.reads import DeploymentView
from bench.effort import Effort
from bench.figures import summary
from bench.scenes import Site

WARM = 2


def measure(effort: Effort) -> dict[str, Any]:
    """Push one after the other; return seconds from receipt to dispatched, and each stage's median, in milliseconds."""
    with Site() as site:
        views = []
        for n in range(effort.of(60, 8) + WARM):
            effort.noise.sample()
            views.append(_push(site, n))
        whole: list[float] = []
        stages: dict[str, list[float]] = {}
        for view in views[WARM:]:
            received = site.process.reads.delivery(view.deployment.delivery_id or "").received_at
            ended = {s.stage: s for s in view.stages}
            whole.append(1000 * (ended[Stage.DISPATCH_DEPLOY].finished_at - received).total_seconds())
            last = received
            for stage, result in ended.items():
                stages.setdefault(f"wait before {stage}", []).append(1000 * (result.started_at - last).total_seconds())
                stages.setdefault(stage.value, []).append(1000 * (result.finished_at - result.started_at).total_seconds())
                last = result.finished_at
    return {"ms": summary(whole), "stages_ms": {name: statistics.median(values) for name, values in stages.items()}}


def _push(site: Site, number: int) -> DeploymentView:
    delivery_id = site.deliver(site.commit(f"latency {number}", account=site.alice))
    return site.until_ended(delivery_id)
