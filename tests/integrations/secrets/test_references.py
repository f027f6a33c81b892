"""Secrets by reference: what is not there, or open to everybody, is not a secret; nothing prints one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.domain.errors import SecretUnavailable
from app.integrations.secrets.env import EnvSecrets
from app.integrations.secrets.file import LARGEST, FileSecrets

CANARY = "canary-5f2d9"


def secret_file(folder: Path, content: bytes, mode: int = 0o600) -> str:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def test_an_environment_variable_is_read_from_what_is_handed_in() -> None:
    assert EnvSecrets({"HOOK": CANARY}).get("HOOK").reveal() == CANARY.encode()


@pytest.mark.parametrize("environ", [{}, {"HOOK": ""}, {"hook": CANARY}])
def test_an_unset_or_empty_variable_is_unavailable(environ: dict[str, str]) -> None:
    with pytest.raises(SecretUnavailable, match="HOOK is not set"):
        EnvSecrets(environ).get("HOOK")


def test_a_variable_of_raw_bytes_comes_back_as_those_bytes() -> None:
    raw = b"\xff-key-\xfe"
    assert EnvSecrets({"HOOK": os.fsdecode(raw)}).get("HOOK").reveal() == raw


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"abc", b"abc"),
        (b"abc\n", b"abc"),
        (b"abc\r\n", b"abc"),
        (b"abc\n\n", b"abc"),
        (b"abc\r\n\r\n", b"abc"),
        (b"\xef\xbb\xbfabc\r\n", b"abc"),
        (b"a b\n", b"a b"),
        (b"a\nb\n", b"a\nb"),
    ],
)
def test_what_editors_and_mounts_add_is_no_part_of_the_secret(tmp_path: Path, content: bytes, secret: bytes) -> None:
    assert FileSecrets().get(secret_file(tmp_path, content)).reveal() == secret


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (f" {CANARY}\n".encode(), "begins or ends with a blank"),
        (f"{CANARY} \n".encode(), "begins or ends with a blank"),
        (f"{CANARY}\t".encode(), "begins or ends with a blank"),
        (f"\n{CANARY}\n".encode(), "begins or ends with a blank"),
        (CANARY.encode("utf-16"), "is UTF-16"),
        (b"\r\n", "is empty"),
        (b"\xef\xbb\xbf\n", "is empty"),
    ],
)
def test_what_may_be_a_slip_is_refused_with_file_and_remedy_and_never_the_secret(
    tmp_path: Path, content: bytes, told: str
) -> None:
    with pytest.raises(SecretUnavailable, match=told) as caught:
        FileSecrets().get(secret_file(tmp_path, content))
    assert str(tmp_path) in str(caught.value) and CANARY not in str(caught.value)


def test_a_variable_loses_the_line_end_that_a_mounted_secret_brings() -> None:
    assert EnvSecrets({"HOOK": "abc\n"}).get("HOOK").reveal() == b"abc"
    with pytest.raises(SecretUnavailable, match="HOOK is not set"):
        EnvSecrets({"HOOK": "\n"}).get("HOOK")


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o640, 0o440])
def test_a_file_of_its_owners_side_is_read(tmp_path: Path, mode: int) -> None:
    assert FileSecrets().get(secret_file(tmp_path, b"abc", mode)).reveal() == b"abc"


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666, 0o777])
def test_a_file_open_to_everybody_is_refused_without_showing_it(tmp_path: Path, mode: int) -> None:
    with pytest.raises(SecretUnavailable, match="open to everybody") as caught:
        FileSecrets().get(secret_file(tmp_path, CANARY.encode(), mode))
    assert CANARY not in str(caught.value)


def test_an_open_mounted_file_is_refused_with_a_way_out_that_can_be_gone(tmp_path: Path) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        FileSecrets().get(secret_file(tmp_path, b"abc", 0o444))
    assert all(way in str(caught.value) for way in ("chmod 600", "defaultMode 0400", "mode 0400 of the secret in Swarm"))


def test_a_link_is_judged_by_the_file_behind_it(tmp_path: Path) -> None:
    behind = secret_file(tmp_path, b"abc", 0o644)
    link = tmp_path / "link"
    link.symlink_to(behind)
    with pytest.raises(SecretUnavailable, match="open to everybody"):
        FileSecrets().get(str(link))
    Path(behind).chmod(0o600)
    assert FileSecrets().get(str(link)).reveal() == b"abc"


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * (LARGEST + 1)])
def test_an_empty_or_huge_file_is_unavailable(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(SecretUnavailable):
        FileSecrets().get(secret_file(tmp_path, content))


@pytest.mark.parametrize("reference", ["missing", ".", "", "a\0b"])
def test_a_path_without_a_file_is_unavailable(tmp_path: Path, reference: str) -> None:
    with pytest.raises(SecretUnavailable):
        FileSecrets().get(str(tmp_path / reference))


def test_a_changed_file_is_a_changed_secret(tmp_path: Path) -> None:
    store, path = FileSecrets(), secret_file(tmp_path, b"one")
    assert store.get(path).reveal() == b"one"
    Path(path).write_bytes(b"two")
    assert store.get(path).reveal() == b"two"


def test_a_secret_does_not_print(tmp_path: Path) -> None:
    secret = FileSecrets().get(secret_file(tmp_path, CANARY.encode()))
    assert CANARY not in f"{secret} {secret!r} {[secret]}"
