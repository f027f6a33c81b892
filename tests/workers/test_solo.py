"""One thread at a time does the work, after every request; the other threads go on at once."""

from __future__ import annotations

import threading

import pytest

from workers.solo import OnePerName, Solo


def test_who_asks_while_it_runs_goes_on_at_once_and_it_runs_once_more() -> None:
    solo, runs = Solo(), []
    begun, go = threading.Event(), threading.Event()

    def work() -> None:
        runs.append(threading.current_thread().name)
        begun.set()
        assert go.wait(10)

    first = threading.Thread(target=lambda: solo.run(work), name="first")
    first.start()
    assert begun.wait(10)
    for _ in range(20):
        solo.run(work)  # returns, though the work stands still
    assert runs == ["first"]
    go.set()
    first.join(10)
    assert runs == ["first", "first"]


def test_no_asking_is_lost_however_the_threads_meet() -> None:
    solo, wanted, done = Solo(), 0, 0
    counting = threading.Lock()

    def work() -> None:
        nonlocal done
        done = wanted

    def ask() -> None:
        nonlocal wanted
        for _ in range(2000):
            with counting:
                wanted += 1
            solo.run(work)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert done == wanted == 12_000


def test_work_that_fails_leaves_the_way_free() -> None:
    solo = Solo()

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        solo.run(fail)
    runs: list[int] = []
    solo.run(lambda: runs.append(1))
    assert runs == [1]


def test_one_thread_works_on_each_thing_and_others_see_that_it_is_taken() -> None:
    one = OnePerName()
    with one.take("a") as is_taken, one.take("b") as is_other_taken:
        assert (is_taken, is_other_taken) == (False, False)
        with one.take("a") as is_taken_again:
            assert is_taken_again
        with one.take("a") as is_still_taken:
            assert is_still_taken, "the thread that found it taken did not free it"
    with one.take("a") as is_taken:
        assert not is_taken
