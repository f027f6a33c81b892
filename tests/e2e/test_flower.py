"""Flower, as ops see it: the five stages by name, behind a password."""

from __future__ import annotations

from typing import Any

import httpx

from app.domain.deployment import STAGES, State
from app.stack.scene import Scene
from app.store.reads import Reads
from tests.e2e.test_durability import ended
from tests.waiting import until


def test_flower_shows_the_five_stages_of_a_deployment_and_wants_a_password(scene: Scene, reads: Reads) -> None:
    made = scene.push("to be seen in Flower", account=scene.alice)
    assert ended(reads, made).state is State.SUCCEEDED
    url = f"{scene.running.flower_url}/api/tasks"
    password = (scene.running.state / "secrets" / "flower").read_text().strip()
    metrics = f"{scene.running.flower_url}/metrics"  # Flower alone would show it to everybody
    for wrong in (None, ("ops", "guessed")):
        assert [httpx.get(page, auth=wrong, timeout=20).status_code for page in (url, metrics)] == [401, 401]
    assert "flower_events_total" in httpx.get(metrics, auth=("ops", password), timeout=20).text
    wanted = {stage.value: "SUCCESS" for stage in STAGES}

    def shown() -> dict[str, str]:
        tasks: dict[str, Any] = httpx.get(url, auth=("ops", password), params={"limit": 10_000}, timeout=20).json()
        return {task["name"]: task["state"] for task in tasks.values() if made in (task["args"] or "")}

    until(lambda: shown() == wanted, "Flower shows the five stages")  # task events come in groups
    assert shown() == wanted
