"""Which tests a run leaves out, told in its last lines.

`make test` runs everything but the tests marked `@pytest.mark.long`. `make test-long` runs those: they take long, or need
root, the kernel or a Docker engine. A long test asserts in a fixture that it has what it needs. It may not be skipped: a
skipped long test fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from typing import Any

import pytest


class Suites:
    """A plugin of pytest. With `-n` the workers count, and the controller tells."""

    def __init__(self) -> None:
        self._left_out = 0

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        """Count the long tests that this run leaves out."""
        self._left_out += sum(1 for item in items if item.get_closest_marker("long"))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand the count to the controller."""
        if (output := getattr(session.config, "workeroutput", None)) is not None:
            output["left_out"] = self._left_out

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the count of a worker. Each has collected all tests."""
        self._left_out = max(self._left_out, getattr(node, "workeroutput", {}).get("left_out", 0))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn the skip of a long test into a failure."""
        report = yield
        if report.skipped and item.get_closest_marker("long"):
            report.outcome, report.longrepr = "failed", f"a long test may not be skipped: {_reason(report)}"
        return report

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Tell what was not run, and why."""
        skipped = Counter((_file(report), _reason(report)) for report in terminalreporter.stats.get("skipped", []))
        lines = [f"{count:4} skipped in {file}: {reason}" for (file, reason), count in sorted(skipped.items())]
        lines += [f"{self._left_out:4} long tests left out: `make test-long` runs them"] if self._left_out else []
        if lines:
            terminalreporter.section("not run")
        for line in lines:
            terminalreporter.line(line)


def _file(report: Any) -> str:
    return str(report.nodeid).partition("::")[0]


def _reason(report: Any) -> str:
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return str(told).removeprefix("Skipped: ")
