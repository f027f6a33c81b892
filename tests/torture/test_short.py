"""A short run of the fault harness, with every check: `make torture` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture.__main__ import run
from tests.torture.plan import make_plan
from tests.torture.processes import names_in
from tests.torture.world import ROOT


@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_or_let_in_while_faults_strike(folder: Path) -> None:
    plan = make_plan(1, 130, 12, names_in(ROOT))
    done = run(plan, folder, rate=7)
    assert done.found == [], "\n".join(done.lines())
    assert len(done.history.struck) == 12
    assert {d.state for d in done.history.deployments} >= {"succeeded", "denied"}
    assert len(done.history.marks) > 10
