"""Room for bodies: bounded, in turn, fair between senders, and never held by one that does not send."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from app.domain.errors import GateError, Overloaded, TooSlow
from app.web.receiver.body_budget import BodyBudget, Reservation

SECONDS = 10.0


class Body:
    """A body that is read until it is cut off or told to end."""

    def __init__(self, room: BodyBudget, address: str, size: int, order: list[Body]) -> None:
        self.room = room
        self.order = order
        self.end = asyncio.Event()
        self.fault: GateError | None = None
        self.place: Reservation
        self.task = asyncio.create_task(self._read(address, size))

    async def _read(self, address: str, size: int) -> None:
        self.place = Reservation(address, size, asyncio.get_running_loop().time(), asyncio.current_task())
        try:
            await self.room.enter(self.place)
            self.order.append(self)
            await self.end.wait()
        except asyncio.CancelledError:
            self.fault = self.place.fault
        finally:
            self.room.leave(self.place)


def run(story: Callable[[BodyBudget, Callable[..., Body], list[Body]], Coroutine[Any, Any, None]]) -> None:
    async def told() -> None:
        room, order = BodyBudget(100, SECONDS), list[Body]()
        made: list[Body] = []

        def body(address: str, size: int) -> Body:
            made.append(Body(room, address, size, order))
            return made[-1]

        await story(room, body, order)
        for each in made:
            each.end.set()
        await asyncio.wait_for(asyncio.gather(*(each.task for each in made)), 5)
        assert room._free == 100 and not room._places and not room._waiting and not room._held

    asyncio.run(told())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_no_more_is_let_in_than_fits_and_all_come_in_the_end() -> None:
    async def story(room: BodyBudget, body: Callable[..., Body], order: list[Body]) -> None:
        bodies = [body("a", 40) for _ in range(5)]
        for done in range(5):
            await settle()
            assert order == bodies[: done + 2]
            bodies[done].end.set()

    run(story)


def test_the_address_that_holds_least_comes_next() -> None:
    async def story(room: BodyBudget, body: Callable[..., Body], order: list[Body]) -> None:
        greedy = [body("greedy", 50) for _ in range(50)]
        await settle()
        modest = body("modest", 50)
        await settle()
        assert modest not in order
        greedy[0].end.set()
        await settle()
        assert order == [*greedy[:2], modest]

    run(story)


def test_of_one_address_the_smallest_comes_next() -> None:
    async def story(room: BodyBudget, body: Callable[..., Body], order: list[Body]) -> None:
        first, large, small = body("x", 90), body("x", 80), body("x", 20)
        await settle()
        first.end.set()
        await settle()
        assert order == [first, small, large]

    run(story)


def test_who_is_behind_leaves_only_while_others_wait() -> None:
    async def story(room: BodyBudget, body: Callable[..., Body], order: list[Body]) -> None:
        slow, quick = body("x", 50), body("x", 50)
        await settle()
        quick.place.received = 40
        now = asyncio.get_running_loop().time()
        room.sweep(now + 5)
        await settle()
        assert slow.fault is None
        waiting = body("x", 50)
        await settle()
        room.sweep(now + 0.5)
        await settle()
        assert slow.fault is None, "it has a moment to begin"
        room.sweep(now + 5)
        await settle()
        assert isinstance(slow.fault, TooSlow)
        assert quick.fault is None
        assert order == [slow, quick, waiting]

    run(story)


def test_a_whole_body_is_never_cut_off() -> None:
    async def story(room: BodyBudget, body: Callable[..., Body], order: list[Body]) -> None:
        whole = body("x", 100)
        await settle()
        whole.place.is_whole = True
        body("y", 100)
        await settle()
        room.sweep(asyncio.get_running_loop().time() + 5)
        await settle()
        assert whole.fault is None

    run(story)


@pytest.mark.parametrize(("size", "fault"), [(100, TooSlow), (101, Overloaded)])
def test_time_runs_out_for_who_sends_and_for_who_waits(size: int, fault: type[GateError]) -> None:
    async def story(room: BodyBudget, body: Callable[..., Body], order: list[Body]) -> None:
        late = body("x", size)
        await settle()
        room.sweep(asyncio.get_running_loop().time() + SECONDS + 1)
        await settle()
        assert type(late.fault) is fault

    run(story)
