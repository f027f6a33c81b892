"""A few seconds of `make fuzz` on every target, where atheris has a wheel (Linux on x86_64)."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import ROOT, TARGETS

if importlib.util.find_spec("atheris"):

    def test_coverage_leads_to_no_broken_promise(tmp_path: Path) -> None:
        command = [sys.executable, "-m", "tests.fuzz", "2", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert f"{len(TARGETS)} targets, 2 s each; broken: none" in done.stdout
