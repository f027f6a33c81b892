"""One thread at a time does a thing that all are asked for; who comes meanwhile leaves word and goes on with other work."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Solo:
    """Runs what it is given in one of the threads that ask, and once more for those who asked meanwhile."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._at_it = threading.Lock()

    def run(self, work: Callable[[], None]) -> None:
        """Do the work, or leave it to the thread that is at it: that one begins anew after this call."""
        self._asked.set()
        # Asked again after the lock is free: whoever found it taken until then has left word, and somebody sees it.
        while self._asked.is_set() and self._at_it.acquire(blocking=False):
            try:
                while self._asked.is_set():
                    self._asked.clear()
                    work()
            finally:
                self._at_it.release()
