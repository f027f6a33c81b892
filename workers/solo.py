"""Let one thread at a time do work that many threads are asked for. The others leave a request and go on with other work."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Solo:
    """Runs the work in one of the threads that ask, and once more for the threads that asked meanwhile."""

    def __init__(self) -> None:
        self._request = threading.Event()
        self._running = threading.Lock()

    def run(self, work: Callable[[], None]) -> None:
        """Do the work, or leave it to the thread that is doing it, which then begins again after this call."""
        self._request.set()
        # Check again after the lock is free: a thread that found it taken has set its request before, so none is missed.
        while self._request.is_set() and self._running.acquire(blocking=False):
            try:
                while self._request.is_set():
                    self._request.clear()
                    work()
            finally:
                self._running.release()
