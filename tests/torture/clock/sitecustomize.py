"""Step the clock of a worker: offset what `app.integrations.system` reads by the seconds in the file $TORTURE_CLOCK.

That module is the only reader of the wall clock (`tests/test_architecture.py`), so this is all the clock there is.
"""

import importlib.abc
import importlib.util
import os
import sys
import time
from datetime import UTC, datetime, timedelta

FILE = os.environ.get("TORTURE_CLOCK", "")
NAME = "app.integrations.system"


def offset():
    """Read how far off the clock is."""
    try:
        with open(FILE) as file:
            return float(file.read() or 0)
    except (OSError, ValueError):
        return 0.0


class _Time:
    """The module `time`, a little off."""

    @staticmethod
    def time_ns():
        return time.time_ns() + int(offset() * 1e9)

    def __getattr__(self, name):
        return getattr(time, name)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != NAME:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            module.time = _Time()
            module.SystemClock.now = lambda self: datetime.now(UTC) + timedelta(seconds=offset())

        spec.loader.exec_module = exec_module
        return spec


if FILE:
    sys.meta_path.insert(0, _Finder())
