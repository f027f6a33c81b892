"""Turns at a repository: a slow one takes a few threads, not all; nobody who waits for a turn is forgotten."""

from __future__ import annotations

import inspect
import threading
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from app.domain.errors import RepositoryBusy
from app.integrations.repositories.protocol import CommitSource
from app.integrations.repositories.turns import UNBOUNDED, Turns, in_turns
from tests.fakes import FakeRepositories

SLOW, OTHER = "gogs:acme/slow", "gogs:acme/other"


class Hanging(FakeRepositories):
    """A source whose answers about one repository do not come before the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Semaphore(0)
        self.go_on = threading.Event()

    def is_ancestor(self, repository: str, ancestor: str, descendant: str) -> bool:
        if repository.casefold() == SLOW:
            self.asked.release()
            assert self.go_on.wait(30)
        return True


def ask(source: CommitSource, repository: str) -> bool:
    return source.is_ancestor(repository, "a" * 40, "b" * 40)


def test_invariant_15_a_slow_repository_takes_its_turns_and_no_thread_more() -> None:
    hanging, refused = Hanging(), list[RepositoryBusy]()
    source = in_turns(hanging, Turns(2, patience=0.05))

    def work(spelled: str) -> None:
        try:
            ask(source, spelled)
        except RepositoryBusy as fault:
            refused.append(fault)

    threads = [threading.Thread(target=work, args=(name,)) for name in (SLOW, SLOW.upper().replace("GOGS", "gogs"), SLOW, SLOW)]
    for thread in threads[:2]:
        thread.start()
    for _ in threads[:2]:
        assert hanging.asked.acquire(timeout=30)
    for thread in threads[2:]:
        thread.start()
        thread.join(30)
    assert [str(fault) for fault in refused] == [f"2 other questions about {SLOW} take long; {SLOW} is asked next"] * 2
    assert ask(source, OTHER), "another repository does not notice"
    source.export(SLOW, "a" * 40, Path())  # a dispatch that has begun goes on
    called: list[str] = []
    for fault, name in zip(refused, ("first", "second"), strict=True):
        fault.when_free(name, partial(called.append, name))
    assert called == []
    hanging.go_on.set()
    for thread in threads:
        thread.join(30)
    assert sorted(called) == ["first", "second"]
    assert ask(source, SLOW)


def test_invariant_15_many_slow_repositories_leave_turns_for_others_and_threads_for_what_asks_no_git() -> None:
    turns, held = Turns(2, threads=24, patience=0.01), ExitStack()
    with held:
        for n in range(12):
            for _ in range(2):
                with suppress(RepositoryBusy):
                    held.enter_context(turns.take(f"gogs:acme/slow{n}"))
        assert turns._asking.total() == 16, "a third of 24 threads is free of git"
        called: list[str] = []
        with pytest.raises(RepositoryBusy, match=f"16 questions about others take long; {OTHER} is asked next") as refused:
            held.enter_context(turns.take(OTHER))
        refused.value.when_free(OTHER, lambda: called.append(OTHER))
    assert called == [OTHER]
    with turns.take(OTHER), turns.take(OTHER):
        pass


def test_a_call_for_a_turn_that_became_free_meanwhile_is_made_at_once() -> None:
    turns = Turns(1, patience=0.01)
    with turns.take(SLOW), pytest.raises(RepositoryBusy) as refused, turns.take(SLOW):
        pass
    called: list[int] = []
    refused.value.when_free("x", lambda: called.append(1))
    assert called == [1]


def test_a_deployment_that_asks_again_and_again_is_called_once() -> None:
    turns, called = Turns(1, patience=0.01), list[int]()
    with turns.take(SLOW):
        for n in range(3):
            with pytest.raises(RepositoryBusy) as refused, turns.take(SLOW):
                pass
            refused.value.when_free("x", partial(called.append, n))
    assert called == [2]
    assert not turns._asking and not turns._calls, "nothing is kept of repositories that nobody asks about"


def test_a_question_that_fails_gives_its_turn_back() -> None:
    fake = FakeRepositories()
    fake.fault = KeyError("no")
    source = in_turns(fake, Turns(1, patience=0.01))
    for _ in range(2):
        with pytest.raises(KeyError):
            source.fetch(SLOW, "refs/heads/main", None)


def test_every_question_names_its_repository_first() -> None:
    methods = {name: method for name, method in vars(CommitSource).items() if inspect.isfunction(method) and name[0] != "_"}
    assert len(methods) >= 7 and methods.keys() >= UNBOUNDED
    assert {name for name, method in methods.items() if list(inspect.signature(method).parameters)[1] != "repository"} == set()
