"""The stack's secrets: made once, kept for good, for their owner only."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path

import pytest

from app.stack.secrets import load_or_make_secret


def test_a_secret_is_made_once_and_the_same_later(tmp_path: Path) -> None:
    value, is_new = load_or_make_secret(tmp_path / "secrets" / "flower")
    assert is_new
    assert load_or_make_secret(tmp_path / "secrets" / "flower") == (value, False)
    assert (tmp_path / "secrets" / "flower").read_text() == f"{value}\n"


def test_every_secret_is_its_own(tmp_path: Path) -> None:
    values = {load_or_make_secret(tmp_path / f"secret-{number}")[0] for number in range(20)}
    assert len(values) == 20


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_only_its_owner_can_read_it(tmp_path: Path, umask: int) -> None:
    former = os.umask(umask)
    try:
        load_or_make_secret(tmp_path / "secrets" / "flower")
    finally:
        os.umask(former)
    assert (tmp_path / "secrets" / "flower").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_only_its_owner_can_read_it_though_another_try_left_an_open_file(tmp_path: Path) -> None:
    (tmp_path / "flower.new").touch(mode=0o666)
    (tmp_path / "flower.new").chmod(0o666)
    load_or_make_secret(tmp_path / "flower")
    assert (tmp_path / "flower").stat().st_mode & 0o777 == 0o600


def test_nothing_else_is_left_beside_it(tmp_path: Path) -> None:
    load_or_make_secret(tmp_path / "flower")
    assert [path.name for path in tmp_path.iterdir()] == ["flower"]


def test_half_of_a_secret_from_a_try_that_was_cut_short_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "flower.new").write_text("ha")
    value, is_new = load_or_make_secret(tmp_path / "flower")
    assert is_new
    assert len(value) == 32
    assert (tmp_path / "flower").read_text().strip() == value


def test_a_secret_fits_into_a_url_as_it_is(tmp_path: Path) -> None:
    for number in range(20):
        value, _ = load_or_make_secret(tmp_path / f"secret-{number}")
        assert re.fullmatch(r"[A-Za-z0-9_-]{32}", value)


def test_a_key_has_its_size_and_plain_base64(tmp_path: Path) -> None:
    for number in range(20):
        value, _ = load_or_make_secret(tmp_path / f"key-{number}.key", size=32, urlsafe=False)
        assert len(base64.b64decode(value, validate=True)) == 32


def test_a_secret_that_a_person_put_there_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "flower").write_text("chosen by hand\n")
    assert load_or_make_secret(tmp_path / "flower") == ("chosen by hand", False)
