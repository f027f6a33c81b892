"""Webhook secrets that prove less than they seem to: of several repositories (`tests/cli/test_cli.py`), or of several forges."""

from __future__ import annotations

from app.config.tables.forges import ForgeSettings, shared_secrets


def forge(name: str, secret: str, **own: tuple[str, ...]) -> ForgeSettings:
    return ForgeSettings(name, "gogs", "https://git.example", "{url}", (secret,), None, repository_secrets=own)


def test_one_secret_of_two_forges_is_warned_of_since_their_numbers_stand_for_different_people() -> None:
    forges = {
        "new": forge("new", "env:ONE"),
        "old": forge("old", "env:OTHER", shop=("env:ONE",)),
        "third": forge("third", "env:THREE"),
    }
    (warning,) = shared_secrets(forges, [])
    assert warning.startswith("forges.new: env:ONE is a webhook secret of new and old: an administrator of a repository at one")


def test_a_secret_of_its_own_for_each_forge_is_not_warned_of() -> None:
    assert shared_secrets({"a": forge("a", "env:A", shop=("env:A",)), "b": forge("b", "env:B")}, []) == []
