"""The one way in which tests wait for what another thread or process does."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 60.0  # for a machine under load: nothing waits longer than it must


def until(look: Callable[[], object], what: str = "it has come true", seconds: float = PATIENCE) -> None:
    """Wait until something has come true. An outage on the way counts as not yet."""
    end, fault = time.monotonic() + seconds, ""
    while True:
        try:
            if look():
                return
            fault = ""
        except Exception as raised:
            fault = f" ({type(raised).__name__}: {raised})"
        assert time.monotonic() < end, f"never in {seconds:.0f} s: {what}{fault}"
        time.sleep(0.01)
