"""Threads for Flask: everything that is handed in is done once and told, however much comes at once."""

from __future__ import annotations

import asyncio
import threading
import weakref
from functools import partial

from app.web.receiver.threads import Threads
from tests.waiting import PATIENCE


def test_everything_is_done_and_told() -> None:
    async def told() -> list[int]:
        threads, done = Threads(asyncio.get_running_loop(), 4), list[int]()
        for start in range(0, 2000, 100):
            await asyncio.wait_for(asyncio.gather(*(threads.run(partial(done.append, start + n)) for n in range(100))), PATIENCE)
        threads.stop()
        return done

    assert sorted(asyncio.run(told())) == list(range(2000))


def test_one_that_takes_long_holds_up_no_other() -> None:
    async def told() -> None:
        threads, stuck = Threads(asyncio.get_running_loop(), 2), threading.Event()
        long = threads.run(lambda: [None for _ in [stuck.wait(2 * PATIENCE)]].clear())
        await asyncio.wait_for(threads.run(lambda: None), PATIENCE)
        assert not long.done()
        stuck.set()
        await asyncio.wait_for(long, PATIENCE)
        threads.stop()

    asyncio.run(told())


def test_an_idle_thread_keeps_nothing_of_its_last_request() -> None:
    class Body:
        def read(self) -> None:
            """Do nothing."""

    async def told() -> list[weakref.ref[Body]]:
        threads, kept = Threads(asyncio.get_running_loop(), 4), list[weakref.ref[Body]]()
        for _ in range(8):
            body = Body()
            kept.append(weakref.ref(body))
            await threads.run(body.read)
            del body
        for _ in range(500):  # the answer goes first: a thread lets go a moment later
            if not any(each() for each in kept):
                break
            await asyncio.sleep(0.01)
        return kept

    assert [each() for each in asyncio.run(told())] == [None] * 8


def test_a_request_that_was_given_up_meanwhile_is_no_error() -> None:
    async def told() -> None:
        threads, stuck = Threads(asyncio.get_running_loop(), 1), threading.Event()
        given_up = threads.run(lambda: [None for _ in [stuck.wait(2 * PATIENCE)]].clear())
        given_up.cancel()
        stuck.set()
        await asyncio.wait_for(threads.run(lambda: None), PATIENCE)
        threads.stop()

    asyncio.run(told())
