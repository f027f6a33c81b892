"""A gate that serves, and a repository that asks it, of each test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine

from tests.integrations.targets.cast import serving
from tests.pipeline.ask.cast import Hub, Person, a_hub, a_person, configure
from tests.ports import free_port
from tests.web.gate import Gate, a_gate

NO_PROVIDER = SimpleNamespace(url="http://127.0.0.1:1")


@pytest.fixture
def gate(engine: Engine, tmp_path: Path) -> Iterator[Gate]:
    folder = tmp_path / "gate"
    folder.mkdir()
    with serving() as forge, a_gate(engine, folder, NO_PROVIDER, forge, port=free_port()) as gate:  # type: ignore[arg-type]
        configure(gate)
        yield gate


@pytest.fixture
def hub(gate: Gate, tmp_path: Path) -> Hub:
    return a_hub(gate, tmp_path)


@pytest.fixture
def person(hub: Hub, tmp_path: Path) -> Callable[[str], Person]:
    return lambda name: a_person(name, hub, tmp_path)


@pytest.fixture
def alice(person: Callable[[str], Person]) -> Person:
    """The owner, who has pushed a first commit to main."""
    alice = person("alice")
    alice.commit(message="first")
    done = alice.push("main")
    assert done.returncode == 0, done.stderr
    return alice
