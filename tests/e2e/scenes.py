"""The demo's scene for tests: on ports of their own, and with the patience that a busy machine needs."""

from __future__ import annotations

import httpx

from app.bootstrap import build
from app.settings import load_settings
from app.stack.scene import Scene
from tests.ports import stack_ports
from tests.waiting import until

STARTS_WITHIN = 200
SPOOL_BYTES = 64 * 1024 * 1024


class PatientScene(Scene):
    """A scene that waits longer for its processes than the demo does."""

    def __init__(self, **settings: str) -> None:
        super().__init__(lambda _: None, **stack_ports(), **settings)

    def deployment_of(self, delivery_id: str) -> str:
        """Wait for the deployment that is planned for a delivery."""
        reads = build(load_settings(self.env), pool_size=1).reads
        until(lambda: reads.deployments(1, delivery_id=delivery_id), f"something is planned for delivery {delivery_id}")
        return reads.deployments(1, delivery_id=delivery_id)[0].id

    def until_ready(self) -> None:
        """Wait until the receiver says that it is ready."""
        url = f"{self.running.web_url}/readyz"
        until(lambda: httpx.get(url, timeout=20).status_code == 200, "the receiver is ready", STARTS_WITHIN)
