"""`make fuzz` on every target: for a few seconds, and for longer in `make test-long`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import ROOT, TARGETS

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris has no wheel for this machine")
LONG = pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(1200)])


@pytest.mark.parametrize("seconds", [2, LONG])
def test_coverage_leads_to_no_broken_promise(tmp_path: Path, seconds: int) -> None:
    command = [sys.executable, "-m", "tests.fuzz", str(seconds), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"{len(TARGETS)} targets, {seconds} s each; broken: none" in done.stdout
