"""Refusals in the log: some of each kind, the rest as a number; nothing a stranger sends makes it grow without bound."""

from __future__ import annotations

from app.web.receiver.refusal_log import MOST, STRETCH_SECONDS, Refusals

BAD = ("gogs", "bad-signature")
SLOW = ("gogs", "too-slow")


def test_the_first_of_a_kind_are_told_and_the_rest_counted() -> None:
    refusals = Refusals()
    told = [refusals.is_logged(BAD, 5.0) for _ in range(1000)]
    assert told == [True] * MOST + [False] * (1000 - MOST)
    assert refusals.left_out(5.0 + STRETCH_SECONDS - 0.01) == {}
    assert refusals.left_out(5.0 + STRETCH_SECONDS) == {BAD: 1000 - MOST}
    assert refusals.left_out(5.0 + STRETCH_SECONDS) == {}
    assert refusals.is_logged(BAD, 5.0 + STRETCH_SECONDS)


def test_one_kind_does_not_take_the_lines_of_another() -> None:
    refusals = Refusals()
    for _ in range(MOST + 1):
        refusals.is_logged(BAD, 1.0)
    assert refusals.is_logged(SLOW, 1.0)
    assert refusals.left_out(1.0 + STRETCH_SECONDS) == {BAD: 1}


def test_a_stretch_begins_with_its_first_refusal() -> None:
    refusals = Refusals()
    assert refusals.left_out(100.0) == {}
    for _ in range(MOST + 3):
        refusals.is_logged(BAD, 100.0)
    assert refusals.left_out(101.0) == {}
    assert refusals.left_out(100.0 + STRETCH_SECONDS) == {BAD: 3}
