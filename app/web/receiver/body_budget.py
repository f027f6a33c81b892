"""A budget for bodies: how many bytes of them are held at once, which bodies wait, and which are cut off.

A body takes its announced size before it is read and gives it back once it is answered, so an admitted body can always
be read to its end. While others wait, a body that is behind the pace at which it would be whole in time is cut off; one
that keeps the pace never is. Of those that wait, the address that holds least comes next, and of its bodies the
smallest, so that no address starves another. Used by `front.py`, in one thread.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from app.domain.errors import GateError, Overloaded, TooSlow

GRACE_SECONDS = 1.0  # a body is not judged by its pace before this


@dataclass(eq=False, slots=True)
class Reservation:
    """One body on its way. `fault` is set when it is cut off."""

    address: str
    size: int
    since: float
    reader: asyncio.Task[None] | None
    received: int = 0
    admitted_at: float | None = None
    is_whole: bool = False
    fault: GateError | None = None
    turn: asyncio.Future[None] | None = field(default=None, repr=False)


class BodyBudget:
    """Holds `limit` bytes of bodies that have `seconds` to arrive."""

    def __init__(self, limit: int, seconds: float) -> None:
        self._limit = limit
        self._seconds = seconds
        self._free = limit
        self._places: set[Reservation] = set()
        self._waiting: list[Reservation] = []
        self._held: Counter[str] = Counter()

    async def enter(self, place: Reservation) -> None:
        """Wait until the place's bytes fit; the caller calls `leave` in any case."""
        self._places.add(place)
        if not self._waiting and place.size <= self._free:
            self._admit(place)
            return
        place.turn = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        await place.turn

    def leave(self, place: Reservation) -> None:
        """Give the bytes back, and admit bodies that wait."""
        self._places.discard(place)
        if place.admitted_at is None:
            if place in self._waiting:
                self._waiting.remove(place)
            return
        self._free += place.size
        self._held[place.address] -= place.size
        if not self._held[place.address]:
            del self._held[place.address]
        while self._waiting:
            following = min(self._waiting, key=self._rank)  # of equals the first
            if following.size > self._free:
                return
            self._waiting.remove(following)
            self._admit(following)
            assert following.turn is not None
            if not following.turn.done():
                following.turn.set_result(None)

    def sweep(self, now: float) -> None:
        """Cut off bodies that are late, and bodies that are behind while others wait."""
        for place in list(self._places):
            if place.is_whole or place.fault is not None:
                continue
            if now - place.since > self._seconds:
                self._cut(place, TooSlow() if place.admitted_at is not None else Overloaded())
            elif self._waiting and place.admitted_at is not None and self._is_behind(place, now - place.admitted_at):
                self._cut(place, TooSlow())

    def _is_behind(self, place: Reservation, elapsed: float) -> bool:
        return elapsed > GRACE_SECONDS and place.received * self._seconds < place.size * elapsed

    def _rank(self, place: Reservation) -> tuple[int, int]:
        return self._held[place.address], place.size

    def _admit(self, place: Reservation) -> None:
        place.admitted_at = asyncio.get_running_loop().time()
        self._free -= place.size
        self._held[place.address] += place.size

    def _cut(self, place: Reservation, fault: GateError) -> None:
        place.fault = fault
        if place.reader is not None:
            place.reader.cancel()
