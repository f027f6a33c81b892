"""Let one thread at a time do work that many threads are asked for. The others go on with other work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


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


class OnePerName:
    """Lets one thread at a time work on each thing, by its name."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._changing = threading.Lock()

    @contextmanager
    def take(self, name: str) -> Iterator[bool]:
        """Tell whether another thread is at it; if not, this one is until the block ends."""
        with self._changing:
            is_taken = name in self._names
            self._names.add(name)
        try:
            yield is_taken
        finally:
            if not is_taken:
                with self._changing:
                    self._names.discard(name)
