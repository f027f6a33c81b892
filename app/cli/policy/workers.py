"""Decide recorded requests again on all cores: one process a core, with a bounded number of batches under way."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import lru_cache
from itertools import chain, islice
from multiprocessing import get_context
from typing import NamedTuple

from app.domain.errors import GateError, NotFound
from app.domain.recorded import PolicyVersion, Redecisions
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.ask.redecide import Redecider
from app.pipeline.ask.replay_decisions import Batch, Decide

AT_ONCE = 3  # so few batches are done in this process: starting others would take as long
AHEAD = 2  # batches that wait for each process
VERSIONS_HELD = 32


class Versions(NamedTuple):
    """The policies to decide by: the kept versions, and the files of other policies, if any."""

    kept: Mapping[str, PolicyVersion]
    other: Mapping[str, str] | None


def decider(versions: Versions) -> Decide:
    """Return a function that decides batches again, in order: a few in this process, more in processes of their own.

    The function raises GateError if a process dies.
    """

    def decide(batches: Iterable[Batch]) -> Iterator[tuple[Batch, Sequence[Redecisions]]]:
        source = iter(batches)
        first = list(islice(source, AT_ONCE + 1))
        if len(first) <= AT_ONCE:
            local = redecider(versions)
            yield from ((batch, local.answers(batch)) for batch in first)
        else:
            yield from _in_processes(versions, chain(first, source))

    return decide


def redecider(versions: Versions) -> Redecider:
    """Return the redecider of one process; it parses each version once."""

    @lru_cache(VERSIONS_HELD)
    def version(digest: str) -> CedarPolicy | None:
        stored = versions.kept.get(digest)
        if stored is None:
            raise NotFound(f"version {digest!r} was not kept")
        return CedarPolicy.from_version(stored.text, stored.schema, digest) if stored.schema is not None else None

    return Redecider(version, CedarPolicy(versions.other) if versions.other is not None else None)


def _in_processes(versions: Versions, batches: Iterable[Batch]) -> Iterator[tuple[Batch, Sequence[Redecisions]]]:
    count = len(os.sched_getaffinity(0))
    under_way: deque[tuple[Batch, Future[list[Redecisions]]]] = deque()
    pool = ProcessPoolExecutor(count, get_context("spawn"), initializer=_begin, initargs=(versions,))
    try:
        for batch in batches:
            under_way.append((batch, pool.submit(_answers, batch)))
            if len(under_way) > count * AHEAD:
                yield _next(under_way)
        while under_way:
            yield _next(under_way)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _next(under_way: deque[tuple[Batch, Future[list[Redecisions]]]]) -> tuple[Batch, Sequence[Redecisions]]:
    batch, future = under_way.popleft()
    try:
        return batch, future.result()
    except BrokenProcessPool:
        raise GateError("a process of the replay has died; is there enough memory?") from None


_answer: Callable[[Batch], list[Redecisions]]  # set in each process of the pool


def _begin(versions: Versions) -> None:
    global _answer
    with suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends the pool
    _answer = redecider(versions).answers


def _answers(batch: Batch) -> list[Redecisions]:
    return _answer(batch)
