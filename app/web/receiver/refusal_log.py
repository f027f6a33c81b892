"""Choose the refusals that are logged: some of each kind in a stretch of time, and how many were left out.

So strangers cannot fill a disk. Proven deliveries are always logged, and the metrics count every one. Used by `hooks.py`.
"""

from __future__ import annotations

import threading
from collections import Counter

MOST = 20
STRETCH_SECONDS = 10.0


class Refusals:
    """Counts refusals by kind; thread-safe. Kinds are few: a configured forge, or `unknown`, and an outcome."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0
        self._seen: Counter[tuple[str, str]] = Counter()

    def is_logged(self, kind: tuple[str, str], now: float) -> bool:
        """Count a refusal, and tell whether it gets a line."""
        with self._lock:
            if not self._seen:
                self._until = now + STRETCH_SECONDS
            self._seen[kind] += 1
            return self._seen[kind] <= MOST

    def left_out(self, now: float) -> dict[tuple[str, str], int]:
        """Return, once a stretch is over, how many of each kind got no line in it; call it before `is_logged`."""
        if not self._seen or now < self._until:  # without the lock: the next request looks again
            return {}
        with self._lock:
            over, self._seen = self._seen, Counter()
        return {kind: count - MOST for kind, count in over.items() if count > MOST}
