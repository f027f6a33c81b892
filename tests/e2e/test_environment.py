"""What the processes of a real stack have been given, read from the kernel: the table of `app/stack/environment.py`, no more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.stack.environment import NEEDS, environment_of
from app.stack.postgres import OWNER
from app.stack.scene import Scene
from app.stack.supervisor import read_procfile
from app.stack.up import ROOT

PROCESSES = list(read_procfile(ROOT / "Procfile"))
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the environment of a hidden process")


def of_session(session: int) -> list[int]:
    """List a process and its children."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(path.name)) == session:
                found.append(int(path.name))
        except ProcessLookupError:
            continue
    return found


def environments(scene: Scene, name: str) -> list[dict[str, str]]:
    assert scene.stack.supervisor is not None
    pid = scene.stack.supervisor.pid(name)
    assert pid is not None
    texts = [Path(f"/proc/{each}/environ").read_text().split("\0") for each in of_session(pid)]
    return [dict(entry.split("=", 1) for entry in text if entry) for text in texts]


@pytest.mark.parametrize("name", PROCESSES)
def test_a_process_has_the_settings_that_it_needs_and_no_others(scene: Scene, name: str) -> None:
    allowed = {f"TIDEGATE_{field.upper()}" for field in NEEDS[name]}
    found = environments(scene, name)
    assert found
    for environment in found:
        settings = {variable for variable in environment if variable.startswith("TIDEGATE_")}
        assert settings <= allowed
        assert settings == {v for v in environment_of(name, scene.stack.env) if v.startswith("TIDEGATE_")}
        assert ("DEMO_WEBHOOK_SECRET" in environment) == (name not in ("beat", "flower"))


@pytest.mark.parametrize("name", PROCESSES)
def test_no_process_holds_the_owners_password_and_only_those_that_mint_hold_the_master_key(scene: Scene, name: str) -> None:
    assert scene.stack.postgres is not None
    owner = scene.stack.postgres.url(OWNER)
    for environment in environments(scene, name):
        assert not [variable for variable, value in environment.items() if owner in value or "tidegate_owner" in value]
        assert ("TIDEGATE_MASTER_KEY" in environment) == (name in ("deployer", "slow"))


def test_what_is_left_for_the_command_line_holds_neither_owner_nor_master_key(scene: Scene) -> None:
    left = (scene.running.state / "connections.env").read_text()
    assert "tidegate_owner" not in left and "MASTER_KEY" not in left
    assert {line.partition("=")[0] for line in left.splitlines()} == {
        "TIDEGATE_DATABASE_URL",
        "TIDEGATE_REDIS_URL",
        "TIDEGATE_PUBLIC_URL",
    }
