"""Threads that call Flask for the front. Next: `front.py`."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

Work = Callable[[], None]


class Threads:
    """A fixed number of threads. The loop is woken once for all that ended meanwhile: a group commit answers many at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int) -> None:
        self._loop = loop
        self._queue: SimpleQueue[tuple[asyncio.Future[None], Work] | None] = SimpleQueue()
        self._ended: deque[asyncio.Future[None]] = deque()
        self._is_woken = False
        self._threads = [threading.Thread(target=self._work, name=f"web-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def run(self, work: Work) -> asyncio.Future[None]:
        """Do `work`, which may not raise, in a thread; the future ends when it has."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._queue.put((future, work))
        return future

    def until(self, awaited: Future[Any]) -> asyncio.Future[None]:
        """Return a future of the loop that ends when another thread's does, however it ends."""
        future: asyncio.Future[None] = self._loop.create_future()
        awaited.add_done_callback(lambda _: self._end(future))
        return future

    def stop(self) -> None:
        """Let every thread end after its work."""
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            future, work = item
            try:
                work()
            finally:
                self._end(future)
                del item, work, future  # an idle thread must not keep the last body

    def _end(self, future: asyncio.Future[None]) -> None:
        self._ended.append(future)
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        self._is_woken = False  # before looking: work that ends from here on wakes the loop again
        while self._ended:
            future = self._ended.popleft()
            if not future.done():
                future.set_result(None)
