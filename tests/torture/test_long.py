"""Longer runs of the fault harness than `test_short.py`, for `make test-long`. They need root, to fill a file system."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.__main__ import run
from tests.torture.plan import make_plan
from tests.torture.processes import names_in
from tests.torture.world import ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]


@pytest.mark.parametrize("seed", [2, 3])
def test_nothing_is_lost_doubled_or_let_in_while_many_faults_strike(folder: Path, seed: int) -> None:
    plan = make_plan(seed, 2000, 40, names_in(ROOT))
    done = run(plan, folder, rate=20)
    assert done.found == [], "\n".join(done.lines())
    assert len(done.history.struck) == 40
    assert [each for each in done.history.struck if each.note.startswith("left out")] == [], "run it as root"
