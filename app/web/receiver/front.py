"""The receiver's front (RSGI): read a request whole, waiting for its bytes without a thread, and only then call Flask.

A thread that reads from a slow client cannot be interrupted, and a few dozen slow clients would hold them all. Here a
slow body costs a small object until its time is up. No thread waits for a delivery's commit, either: passing Python's
lock between threads cost more than all the rest (docs/performance.md). Faulty requests go to Flask as well, so that
every answer, count and log line comes from one place. Next: `body_budget.py`.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any, Protocol

from app.domain.errors import BadDelivery, GateError, TooLarge
from app.web.receiver.body_budget import BodyBudget, Reservation
from app.web.receiver.deferred_answer import DEFER, Deferred
from app.web.receiver.threads import Threads
from app.web.wire.request import BODY, FAULT, Scope, announced_length, environ_of, sender_of

SMALL_BYTES = 64 * 1024  # nearly every delivery; these never wait for large ones
SMALL_SHARE = 4  # one part in four of the budget is theirs
SWEEP_SECONDS = 0.25
THREADS = 32
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})

_log = logging.getLogger(__name__)

StartResponse = Callable[..., Any]
Soon = Callable[[Callable[[], None]], object]
WsgiApp = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]


class Exchange(Protocol):
    """RSGI's protocol object: the body comes in, and the answer goes out from any thread."""

    async def __call__(self) -> bytes:
        """Return the whole body."""
        ...

    def __aiter__(self) -> Any:
        """Give the body in pieces."""
        ...

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer."""
        ...


@dataclass(frozen=True, slots=True)
class FrontLimits:
    """The limits of what comes in: the largest body, the seconds it has to arrive, and the bytes of bodies held at once."""

    body_bytes: int
    body_seconds: float
    bytes_in_flight: int


class Front:
    """An RSGI application around a WSGI one."""

    def __init__(
        self,
        app: WsgiApp,
        limits: FrontLimits,
        each_turn: Callable[[Soon], None] = lambda _: None,
        *,
        is_quick: Callable[[str], bool] = lambda path: path.startswith("/hooks/"),
    ) -> None:
        """Give `each_turn` a function that runs a callback at the end of a turn of the loop, once for all that came in it.

        `is_quick` tells whether the app answers a small POST to a path without waiting: so it does deliveries; others may wait.
        """
        self._app = app
        self._is_quick = is_quick
        self._each_turn = each_turn
        self._limits = limits
        small = limits.bytes_in_flight // SMALL_SHARE
        self._small = BodyBudget(max(small, SMALL_BYTES), limits.body_seconds)
        self._large = BodyBudget(max(limits.bytes_in_flight - small, limits.body_bytes), limits.body_seconds)
        self._loop: asyncio.AbstractEventLoop
        self._threads: Threads

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin, in the process and on the loop that will serve."""
        self._loop = loop
        self._threads = Threads(loop, THREADS)
        self._each_turn(loop.call_soon_threadsafe)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # a connection is a file; many systems begin at 1024
        self._sweep()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """End."""
        self._threads.stop()

    async def __rsgi__(self, scope: Scope, exchange: Exchange) -> None:
        """Serve one request."""
        environ = environ_of(scope)
        length = announced_length(environ)
        if length == 0 or scope.method in _BODILESS or FAULT in environ:
            await self._answer(environ, exchange, b"")
            return
        size = self._limits.body_bytes if length is None else length
        room = self._small if size <= SMALL_BYTES else self._large
        place = Reservation(sender_of(environ["REMOTE_ADDR"]), size, self._loop.time(), asyncio.current_task())
        body = b""
        try:
            try:
                body = await self._read(room, place, length, exchange)
            except GateError as fault:
                environ[FAULT] = fault
            await self._answer(environ, exchange, body)
        finally:
            room.leave(place)

    async def _read(self, room: BodyBudget, place: Reservation, length: int | None, exchange: Exchange) -> bytes:
        """Read the body within all limits; raises TooLarge, TooSlow, Overloaded or BadDelivery."""
        if place.size > self._limits.body_bytes:
            raise TooLarge(f"the delivery is larger than {self._limits.body_bytes} bytes")
        try:
            await room.enter(place)
            body = await (exchange() if room is self._small else self._pieces(place, exchange))
        except asyncio.CancelledError:
            if place.fault is None or place.reader is None:
                raise
            place.reader.uncancel()
            raise place.fault from None
        except RuntimeError:  # RSGI raises it if the client has gone
            body = b""
        place.is_whole = True
        if length is not None and len(body) != length:
            raise BadDelivery("the delivery ended before its announced length")
        return body

    async def _pieces(self, place: Reservation, exchange: Exchange) -> bytes:
        pieces: list[bytes] = []
        async for piece in exchange:
            place.received += len(piece)
            if place.received > self._limits.body_bytes:
                raise TooLarge(f"the delivery is larger than {self._limits.body_bytes} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def _answer(self, environ: dict[str, Any], exchange: Exchange, body: bytes) -> None:
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = BytesIO(body)
        environ[BODY] = body
        deferred: list[Deferred] = []
        environ[DEFER] = deferred.append
        if environ["REQUEST_METHOD"] == "POST" and len(body) <= SMALL_BYTES and self._is_quick(environ["PATH_INFO"]):
            _call(self._app, environ, exchange)  # a fraction of a millisecond that waits for nothing: no thread is faster
        else:
            await self._threads.run(partial(_call, self._app, environ, exchange))
        if FAULT in environ:  # its traceback holds the exchange: the connection would stay open until garbage is collected
            environ[FAULT].__traceback__ = environ[FAULT].__context__ = None
        if deferred:
            await self._threads.until(deferred[0].awaited)
            exchange.response_bytes(*deferred[0].settle())

    def _sweep(self) -> None:
        now = self._loop.time()
        self._small.sweep(now)
        self._large.sweep(now)
        self._loop.call_later(SWEEP_SECONDS, self._sweep)


def _call(app: WsgiApp, environ: dict[str, Any], exchange: Exchange) -> None:
    """Call the WSGI app (PEP 3333) and answer, unless the answer is deferred."""
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _fault: object = None) -> None:
        head[:] = int(status[:3]), headers

    try:
        parts = app(environ, start_response)
        body = b"".join(parts)
        if close := getattr(parts, "close", None):
            close()
        if head:
            exchange.response_bytes(head[0], head[1], body)
    except Exception as fault:  # Flask answers its own errors; without an answer the client would wait
        _log.exception("a request could not be answered: %s", type(fault).__name__)
        exchange.response_bytes(500, [], b"")
