"""All rules over one history. Pure: it looks at what was written down, and at nothing that runs. Next: `report.py`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.torture.check_deliveries import check_deliveries
from tests.torture.check_targets import check_targets
from tests.torture.check_trails import check_trails
from tests.torture.history import History, Violation

MOST_MEGABYTES = 400.0


def check(history: History) -> list[Violation]:
    """List everything that must never be."""
    return [*check_deliveries(history), *check_trails(history), *check_targets(history), *_outside(history)]


def _outside(history: History) -> Iterator[Violation]:
    """Rules 6 and 7: secrets, memory, logs."""
    for leak in history.leaks:
        yield Violation("leak", "canary", leak)
    for name, megabytes in history.megabytes.items():
        if megabytes > MOST_MEGABYTES:
            yield Violation("memory", name, f"{name} used {megabytes:.0f} MB")
    for line in history.log_lines:
        yield Violation("log", "line", line)
