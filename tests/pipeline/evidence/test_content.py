"""Paths as policies may ask for them."""

from __future__ import annotations

import pytest

from app.pipeline.evidence.content import MOST_PATHS, path_facts


@pytest.mark.parametrize(
    ("path", "also"),
    [
        ("x.SQL", {"*.SQL", "*.sql"}),
        ("Db/Migrations/x.Sql", {"Db/", "db/", "Db/Migrations/", "db/migrations/", "*.Sql", "*.sql"}),
        ("db/x.sql", {"db/", "*.sql"}),
        ("STRASSE/ẞ", {"STRASSE/", "strasse/"}),
        ("README", set()),
    ],
)
def test_folders_and_endings_are_found_in_lower_case_too(path: str, also: set[str]) -> None:
    assert path_facts([path]) == ([*sorted(also), path], True)


def test_what_does_not_fit_is_said() -> None:
    found, are_all = path_facts([f"a/{n}" for n in range(MOST_PATHS)])
    assert not are_all and len(found) == MOST_PATHS and found[0] == "a/"
