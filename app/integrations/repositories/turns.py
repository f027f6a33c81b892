"""At most a few threads of a process ask about one repository at once, so that a slow one does not take all threads.

A process keeps some of its threads free of git altogether. While few are left, a repository gets one turn at a time, so that
many slow ones leave turns for the others. A thread that gets no turn is refused after a moment (`RepositoryBusy`), and may leave
a call for when one is free. An export is let through: its environment has one dispatch at a time, and it asks no forge.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, cast

from app.domain.errors import RepositoryBusy
from app.integrations.repositories.protocol import CommitSource

PATIENCE = 0.5  # seconds; most questions are answered within a tenth of that
MANY = 1_000  # threads, in a process that does not say how many it has
UNBOUNDED = frozenset({"export"})


class Turns:
    """Counts the threads that ask about each repository. Thread-safe; one for each process, whatever rules are in force."""

    def __init__(self, most: int, *, threads: int = MANY, patience: float = PATIENCE) -> None:
        """Give a repository `most` turns at once, and all of them together two thirds of the process's threads."""
        self._most = most
        self._in_all = max(1, threads - max(1, threads // 3))
        self._patience = patience
        self._change = threading.Condition()
        self._asking: Counter[str] = Counter()
        self._calls: dict[str, dict[str, Callable[[], None]]] = {}

    @contextmanager
    def take(self, repository: str) -> Iterator[None]:
        """Take a turn until the block ends; raises RepositoryBusy if none becomes free in time."""
        key = repository.casefold()
        with self._change:
            if not self._change.wait_for(lambda: self._is_free(key), self._patience):
                raise RepositoryBusy(self._why_not(key, repository), when_free=partial(self._call_when_free, key))
            self._asking[key] += 1
        try:
            yield
        finally:
            self._give_back(key)

    def _is_free(self, key: str) -> bool:
        in_all, own = self._asking.total(), self._asking[key]
        return in_all < self._in_all and (own == 0 or (own < self._most and in_all < self._in_all // 2))

    def _why_not(self, key: str, repository: str) -> str:
        own = self._asking[key]
        others = f"{own} other questions about {repository} take" if own else f"{self._in_all} questions about others take"
        return f"{others} long; {repository} is asked next"

    def _give_back(self, key: str) -> None:
        with self._change:
            self._asking[key] -= 1
            if not self._asking[key]:
                del self._asking[key]
            call = self._next_call(key)
            self._change.notify_all()
        if call is not None:
            call()

    def _next_call(self, freed: str) -> Callable[[], None] | None:
        """Take the oldest call for the repository that was just answered; if it has none, for one that can be asked about now."""
        key = next((key for key in (freed, *self._calls) if key in self._calls and self._is_free(key)), None)
        if key is None:
            return None
        calls = self._calls[key]
        call = calls.pop(next(iter(calls)))
        if not calls:
            del self._calls[key]
        return call

    def _call_when_free(self, key: str, name: str, call: Callable[[], None]) -> None:
        """Call once when a turn is given back, or now if one is free. A later call of the same name takes this one's place."""
        with self._change:
            is_free = self._is_free(key)
            if not is_free:
                self._calls.setdefault(key, {})[name] = call
        if is_free:
            call()


class _InTurns:
    """Asks each question of `source` in a turn of its repository, the first argument of every method."""

    def __init__(self, source: CommitSource, turns: Turns) -> None:
        self._source = source
        self._turns = turns

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._source, name)
        if name in UNBOUNDED:
            return ask

        @wraps(ask)
        def ask_in_turn(repository: str, *arguments: Any, **options: Any) -> Any:
            with self._turns.take(repository):
                return ask(repository, *arguments, **options)

        return ask_in_turn


def in_turns(source: CommitSource, turns: Turns) -> CommitSource:
    """Return the same source, with every question but an export asked in a turn."""
    return cast(CommitSource, _InTurns(source, turns))
