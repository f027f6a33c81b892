"""Token buckets: how often a source may send a request. Pure; the time is handed in. Next: `pipeline/intake/receive.py`."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable


class Buckets:
    """One bucket for each source: it holds `burst` tokens and gets `rate` new ones a second. Thread-safe.

    At most `most` buckets are kept. The least recently used one is dropped, which fills it. So an attacker who makes up
    many sources cannot have another source refused, and memory stays bounded.
    """

    def __init__(self, rate: float, burst: float, most: int = 10_000) -> None:
        self._rate, self._burst, self._most = rate, burst, most
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, source: Hashable, now: float) -> float:
        """Take a token of this source; return 0, or if there is none, the seconds until there is one."""
        with self._lock:
            tokens, at = self._buckets.pop(source, (self._burst, now))
            passed = max(0.0, now - at)  # a clock that was set back neither gives nor takes tokens
            tokens = min(self._burst, tokens + passed * self._rate)
            missing = max(0.0, 1.0 - tokens)
            self._buckets[source] = (tokens if missing else tokens - 1.0, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        return missing / self._rate

    def __len__(self) -> int:
        return len(self._buckets)
