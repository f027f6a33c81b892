"""Limit the SCIM requests at the database: one of each source, and a few in all. Any further one waits a moment.

Writers of one source would wait for each other inside the database, each with one of the process's few connections. A request
that waits here holds a thread, which probes need too. So only a few may wait, and not for long.
"""

from __future__ import annotations

import threading
from collections import Counter

from app.domain.errors import Overloaded

AT_ONCE = 2  # in a process, which has four connections: the others are for deliveries
MOST_WAITING = 8  # of a source: as many as a provider sends side by side
PATIENCE_SECONDS = 2.0


class Turns:
    """Lets one request of each source in. Thread-safe."""

    def __init__(self) -> None:
        self._turn = threading.Condition()
        self._inside: set[str] = set()
        self._waiting: Counter[str] = Counter()

    def take(self, source: str) -> None:
        """Take the source's turn, which `leave` gives back; raises Overloaded if it does not become free soon."""
        with self._turn:
            if not self._is_free(source) and not self._wait(source):
                raise Overloaded("too many SCIM requests at once")
            self._inside.add(source)

    def leave(self, source: str) -> None:
        """Make room for the next one."""
        with self._turn:
            self._inside.discard(source)
            self._turn.notify_all()

    def _is_free(self, source: str) -> bool:
        return source not in self._inside and len(self._inside) < AT_ONCE

    def _wait(self, source: str) -> bool:
        if self._waiting[source] >= MOST_WAITING:
            return False
        self._waiting[source] += 1
        try:
            return self._turn.wait_for(lambda: self._is_free(source), timeout=PATIENCE_SECONDS)
        finally:
            self._waiting[source] -= 1
