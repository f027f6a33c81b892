"""One whole stack for all end-to-end tests: the demo's scene, with short sweeps and leases."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from sqlalchemy import Engine, create_engine

from app.stack.postgres import OWNER
from app.stack.scene import Scene
from app.store.reads import Reads
from tests.e2e.scenes import SPOOL_BYTES, PatientScene
from tests.programs import MOST


@pytest.fixture(scope="session")
def scene() -> Iterator[Scene]:
    settings = {"TIDEGATE_SWEEP_AFTER": "1", "TIDEGATE_LEASE_SECONDS": "2", "TIDEGATE_SPOOL_BYTES": str(SPOOL_BYTES)}
    with PatientScene(**settings) as scene:
        yield scene


@pytest.fixture(scope="session")
def owner(scene: Scene) -> Iterator[Engine]:
    assert scene.stack.postgres is not None
    engine = create_engine(scene.stack.postgres.url(OWNER), pool_pre_ping=True)
    yield engine
    engine.dispose()


@pytest.fixture
def reads(owner: Engine) -> Reads:
    return Reads(owner)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show, where a test fails, what the processes of its stack complained of, which is gone with the stack."""
    report = yield
    if report.failed:
        for scene in {id(each): each for each in getattr(item, "funcargs", {}).values() if isinstance(each, Scene)}.values():
            log = scene.folder / "processes.log"
            lines = log.read_text(errors="replace").splitlines() if log.exists() else []
            complaints = "\n".join(filter(_is_complaint, lines))[-MOST:]
            report.sections.append(("what the processes complained of", complaints))
    return report


def _is_complaint(line: str) -> bool:
    return '"level":"info"' not in line.replace(" ", "")
