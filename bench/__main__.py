"""Run the benchmark: `make bench`, or `python -m bench --quick` for a first look (its figures go to .bench/)."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from rich.console import Console

from app.stack.up import ROOT
from bench import plots, report
from bench.effort import Effort
from bench.machine import Noise, facts
from bench.parts import PARTS

RESULTS = "results.json"
console = Console(width=130)


def main() -> int:
    """Measure part by part, keep what each found at once, then draw and render; nothing here passes or fails by time."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    given = _arguments()
    out: Path = given.out or (ROOT / ".bench" if given.quick else ROOT / "docs" / "performance")
    out.mkdir(parents=True, exist_ok=True)
    kept = _kept(out / RESULTS)
    failed = [name for name in given.only or PARTS if not _measured(name, given, kept, out / RESULTS)]
    plots.draw(kept, out)
    if out == ROOT / "docs" / "performance":
        report.render(kept)
    console.print(report.as_text(kept), markup=False, highlight=False, soft_wrap=True)
    if failed:
        console.print(f"[red]failed:[/] {', '.join(failed)}")
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look: a tenth of the work")
    parser.add_argument("--soak", action="store_true", help="a million deliveries in the memory part")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, help="where results and plots go (docs/performance)")
    return parser.parse_args()


def _measured(name: str, given: argparse.Namespace, kept: dict[str, Any], file: Path) -> bool:
    """Measure one part and keep what it found; False, with what went wrong, if it could not be measured."""
    effort, machine, began = Effort(quick=given.quick, soak=given.soak, noise=Noise()), facts(), time.monotonic()
    console.print(f"[bold]{name}[/] …", end=" ")
    try:
        effort.noise.sample()
        found = PARTS[name](effort)
    except Exception:
        console.print(f"failed\n{traceback.format_exc()}", markup=False)
        return False
    effort.noise.sample()
    taken = time.monotonic() - began
    console.print(f"{taken:.0f} s")
    kept["machine"] = machine
    kept["parts"][name] = {
        "at": machine["at"],
        "quick": given.quick,
        "load_at_start": machine["load_at_start"],
        "took_seconds": round(taken, 1),
        "noise": effort.noise.told(),
        "found": found,
    }
    _write(file, kept)
    return True


def _kept(file: Path) -> dict[str, Any]:
    """Read what earlier runs left: parts that are not measured now stay as they were."""
    kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"machine": {}, "parts": {}}
    return kept


def _write(file: Path, kept: dict[str, Any]) -> None:
    file.write_text(json.dumps(_rounded(kept), indent=1) + "\n")


def _rounded(value: Any) -> Any:
    """Keep five digits: more would only be noise."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {str(k): _rounded(v) for k, v in value.items()}
    return [_rounded(v) for v in value] if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    sys.exit(main())
