"""A principal that may not do anything says why."""

from __future__ import annotations

from dataclasses import replace

from tests.fakes import person


def test_an_inactive_principal_is_barred_and_says_why() -> None:
    alice = person("alice")
    assert alice.why_barred is None
    left = replace(alice, active=False, why_inactive="source directory says so")
    assert left.why_barred == "alice is not active: source directory says so"
