"""Store deliveries before they are answered. Deliveries that arrive together share one commit (group commit).

One thread commits everything that waits; later arrivals are its next group. The receiver hands deliveries over once in each
turn of its loop (`hand_over_by`). A delivery is answered only after the commit of its row (invariant 1). While the database
is away, it is answered after it is synced to the spool. A second thread writes the spool. It also watches for a database that
has fallen silent, so that no delivery waits for it.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, Receipt
from app.domain.errors import StoreUnavailable
from app.store.inbox.arrivals import insert_deliveries
from app.store.inbox.spool import Spool

BATCH = 100
PATIENCE_SECONDS = 3.0  # forges wait 5 to 15 s for an answer; a database that takes longer is away
LOOK_EVERY = 1.0
TRY_EVERY = 0.5

Soon = Callable[[Callable[[], None]], object]

_log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    delivery: Delivery
    receipt: Future[Receipt]


class SqlInbox:
    """The group commit of deliveries (protocol: `pipeline.ports.stores.line.Inbox`). Thread-safe; one for each process."""

    def __init__(self, engine: Engine, entry_for: Callable[[Delivery], AuditEntry], spool: Spool | None = None) -> None:
        """Without a spool, callers get StoreUnavailable while the database is away."""
        self._engine = engine
        self._entry_for = entry_for
        self._spool = spool
        self._must_spool = False  # new deliveries go into the spool, behind those that are there
        self._arrivals: deque[_Waiting] = deque()
        self._is_announced = False  # `_hand_over` is already to be called
        self._soon: Soon = lambda act: act()
        self._queue: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._aside: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._at_work: tuple[float, Sequence[_Waiting]] | None = None
        self._is_started = False
        self._starting = threading.Lock()

    def put(self, delivery: Delivery) -> Future[Receipt]:
        """Store the delivery once per (forge, delivery id), with its audit entry; the receipt comes when it is stored.

        A spooled delivery is answered as new, since only the database knows duplicates. It drops them later.
        The future raises StoreUnavailable if the delivery cannot be stored.
        """
        if not self._is_started:
            self._start()
        waiting = _Waiting(delivery, Future())
        self._arrivals.append(waiting)
        if not self._is_announced:
            self._is_announced = True
            self._soon(self._hand_over)
        return waiting.receipt

    def hand_over_by(self, soon: Soon) -> None:
        """Hand deliveries to the writer when `soon` calls its argument, from any thread. By default each is handed over at once.

        A writer that begins with the first of many deliveries competes with the receiver for the interpreter, and commits often.
        """
        self._soon = soon

    def _hand_over(self) -> None:
        self._is_announced = False  # before looking: a delivery that comes from here on is announced again
        with contextlib.suppress(IndexError):  # no more deliveries
            while True:
                waiting = self._arrivals.popleft()
                (self._aside if self._must_spool else self._queue).put(waiting)

    def _start(self) -> None:
        with self._starting:
            if not self._is_started:
                self._must_spool = self._spool is not None and bool(self._spool.oldest(1))
                for name, run in (("inbox", self._write), ("spool", self._watch)):
                    threading.Thread(target=run, name=name, daemon=True).start()
                self._is_started = True

    def _write(self) -> None:
        pause = 0.0
        while True:
            batch = _take_batch(self._queue, pause)
            if batch:
                self._at_work = (time.monotonic(), batch)
                self._flush(batch)
                self._at_work = None
            has_just_looked = bool(batch) and not self._must_spool  # the flush has looked into the spool
            pause = LOOK_EVERY if self._spool is None or has_just_looked else self._empty_spool(self._spool)

    def _flush(self, batch: Sequence[_Waiting]) -> None:
        try:
            if self._spool is not None and not self._spool.is_empty:
                raise StoreUnavailable("earlier deliveries lie in the spool")  # the order of receipt is kept
            receipts = self._store([w.delivery for w in batch])
        except StoreUnavailable as fault:
            self._put_aside(batch, fault)
        except Exception as fault:
            self._one_by_one(batch, fault)
        else:
            for waiting, receipt in zip(batch, receipts, strict=True):
                _answer(waiting, receipt)

    def _one_by_one(self, batch: Sequence[_Waiting], fault: Exception) -> None:
        """Store each alone, so that one row that the database refuses does not fail its neighbours."""
        if len(batch) == 1:
            _answer(batch[0], fault)  # the caller gets the whole exception
            return
        for waiting in batch:
            self._flush([waiting])

    def _store(self, deliveries: Sequence[Delivery]) -> list[Receipt]:
        return insert_deliveries(self._engine, deliveries, self._entry_for)

    def _put_aside(self, batch: Sequence[_Waiting], fault: StoreUnavailable) -> None:
        """Hand deliveries to the spool. If the database has one already, it later drops the spooled one as a duplicate."""
        self._must_spool = self._spool is not None
        for waiting in batch:
            if self._spool is not None:
                self._aside.put(waiting)
            else:
                _answer(waiting, StoreUnavailable(str(fault)))  # a new one for each: exceptions collect tracebacks

    def _watch(self) -> None:
        while True:
            for waiting in _take_batch(self._aside, TRY_EVERY):
                self._spool_one(waiting)
            at_work = self._at_work
            if at_work is not None and time.monotonic() - at_work[0] > PATIENCE_SECONDS:
                silent = StoreUnavailable("the database does not answer in time")
                self._put_aside([w for w in at_work[1] if not w.receipt.done()], silent)
                self._put_aside(_take_batch(self._queue, 0.0), silent)

    def _spool_one(self, waiting: _Waiting) -> None:
        assert self._spool is not None
        try:
            if not waiting.receipt.done():
                self._spool.put(waiting.delivery)
        except Exception as fault:
            _answer(waiting, fault)
        else:
            _answer(waiting, Receipt(waiting.delivery.id, is_duplicate=False, reason=waiting.delivery.reason))

    def _empty_spool(self, spool: Spool) -> float:
        """Bring spooled deliveries to the database, oldest first; return the pause before the next look."""
        try:
            paths = spool.oldest(BATCH)
            self._must_spool = bool(paths)
            if not paths:
                return LOOK_EVERY
            with spool.emptying() as is_alone:
                if not is_alone:
                    return TRY_EVERY
                self._bring(spool, paths)
        except (StoreUnavailable, OSError) as fault:
            _log.warning("deliveries stay in the spool: %s", fault)
            return TRY_EVERY
        return 0.0

    def _bring(self, spool: Spool, paths: list[Path]) -> None:
        try:
            self._store([spool.read(path) for path in paths])
        except (StoreUnavailable, OSError):
            raise
        except Exception as fault:
            if len(paths) == 1:
                _log.exception("a delivery cannot be stored and was set aside: %s", spool.refuse(paths[0]))
                return
            _log.warning("the database refused spooled deliveries, so they are stored one by one: %s", type(fault).__name__)
            for path in paths:
                self._bring(spool, [path])
            return
        spool.remove(paths)
        _log.info("%d deliveries were moved from the spool to the database", len(paths))


def _take_batch(waiting: queue.SimpleQueue[_Waiting], pause: float) -> list[_Waiting]:
    """Take waiting deliveries, at most a batch; wait up to `pause` seconds for the first."""
    batch: list[_Waiting] = []
    with contextlib.suppress(queue.Empty):
        batch.append(waiting.get(timeout=pause) if pause else waiting.get_nowait())
        while len(batch) < BATCH:
            batch.append(waiting.get_nowait())
    return batch


def _answer(waiting: _Waiting, answer: Receipt | Exception) -> None:
    """Answer once: the spool may have been faster than a database that had fallen silent."""
    with contextlib.suppress(InvalidStateError):
        if isinstance(answer, Receipt):
            waiting.receipt.set_result(answer)
        else:
            waiting.receipt.set_exception(answer)
