"""What gives rights is taken only from folders of our own: not another user's, not open to others, not through a link."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.domain.errors import BadConfiguration
from app.ownership import NotOurs, check_own_folder, check_rules_folder, read_own
from app.settings import Settings, load_settings, load_transport
from app.stack.restart import ask
from app.stack.up import Stack
from tests.cli.forked import tidegate

NOBODY = 65534
SERVERS = {"TIDEGATE_DATABASE_URL": "postgresql://app@db.example/tidegate", "TIDEGATE_REDIS_URL": "redis://redis.example/0"}
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file to another user")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with connections, in the working directory."""
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / ".tidegate"
    folder.mkdir(mode=0o700)
    (folder / "connections.env").write_text("".join(f"{name}={value}\n" for name, value in SERVERS.items()))
    (folder / "connections.env").chmod(0o600)
    return folder


def give_folder(state: Path) -> None:
    os.chown(state, NOBODY, NOBODY)


def give_file(state: Path) -> None:
    os.chown(state / "connections.env", NOBODY, NOBODY)


def open_folder(state: Path) -> None:
    state.chmod(0o777)


def open_file_to_its_group(state: Path) -> None:
    (state / "connections.env").chmod(0o660)


def link_folder(state: Path) -> None:
    state.rename(state.with_name("elsewhere"))
    state.symlink_to(state.with_name("elsewhere"))


def link_file(state: Path) -> None:
    (state / "connections.env").rename(state / "elsewhere")
    (state / "connections.env").symlink_to("elsewhere")


def pipe(state: Path) -> None:
    (state / "connections.env").unlink()
    os.mkfifo(state / "connections.env", 0o600)


WAYS: list[object] = [
    pytest.param(give_folder, "belongs to the user nobody, not to", marks=as_root),
    pytest.param(give_file, "belongs to the user nobody, not to", marks=as_root),
    (open_folder, r"may be written by others \(mode 0777\); chmod go-w it"),
    (open_file_to_its_group, r"may be written by others \(mode 0660\)"),
    (link_folder, "is a link"),
    (link_file, "is a link"),
    (pipe, "neither a file nor a folder"),
]


def test_what_is_ours_alone_is_read(state: Path) -> None:
    assert read_own(state / "connections.env") is not None
    assert load_settings().redis_url.get_secret_value() == "redis://redis.example/0"
    assert load_transport().redis_url.get_secret_value() == "redis://redis.example/0"
    check_own_folder(state)


def test_what_is_missing_is_nothing(state: Path) -> None:
    assert read_own(state / "other.env") is None
    assert read_own(state / "nowhere" / "connections.env") is None
    check_own_folder(state / "nowhere")


@pytest.mark.parametrize(("spoil", "why"), WAYS)
def test_connections_of_anybody_elses_are_refused_with_the_reason_and_the_remedy(
    state: Path, spoil: Callable[[Path], None], why: str
) -> None:
    spoil(state)
    for load in (load_settings, load_transport):
        with pytest.raises(BadConfiguration, match=why) as caught:
            load()
        assert "connections.env: is not used" in str(caught.value) and "or set TIDEGATE_" in str(caught.value)


@pytest.mark.parametrize(("spoil", "why"), WAYS)
def test_they_are_left_aside_if_the_environment_names_both_servers(
    state: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], why: str
) -> None:
    with (state / "connections.env").open("a") as file:
        file.write("TIDEGATE_PUBLIC_URL=https://evil.example\n")
    spoil(state)
    for name, value in SERVERS.items():
        monkeypatch.setenv(name, value)
    assert load_settings().public_url == Settings.model_fields["public_url"].default


def test_a_state_folder_that_is_named_may_be_a_link(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link_folder(state)
    monkeypatch.setenv("TIDEGATE_STATE_DIR", str(state))
    assert load_settings().redis_url.get_secret_value() == "redis://redis.example/0"


@as_root
@pytest.mark.parametrize("whose", ["folder", "file"])
def test_rules_of_a_stranger_in_the_working_directory_are_refused_unless_they_are_named(
    state: Path, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    config = state.parent / "tidegate.toml"
    config.write_text("")
    os.chown(state.parent if whose == "folder" else config, NOBODY, NOBODY)
    with pytest.raises(
        BadConfiguration, match=r"tidegate\.toml: is not used: .* belongs to the user nobody.*set TIDEGATE_CONFIG"
    ):
        load_settings()
    monkeypatch.setenv("TIDEGATE_CONFIG", "tidegate.toml")
    assert load_settings().config == Path("tidegate.toml")


def test_rules_that_everybody_may_write_are_refused_and_those_of_a_group_are_not(state: Path) -> None:
    config = state.parent / "tidegate.toml"
    config.write_text("")
    config.chmod(0o664)
    check_rules_folder(config)
    config.chmod(0o666)
    with pytest.raises(NotOurs, match="may be written by others"):
        check_rules_folder(config)


@pytest.mark.parametrize("part", ["state", "secrets"])
def test_up_and_restart_use_no_state_folder_that_others_may_write(
    state: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    """Its secrets become ours, and the lock names the process that is sent a signal."""
    (state / "secrets").mkdir()
    (state if part == "state" else state / "secrets").chmod(0o777)
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, how: sent.append((pid, how)))
    (state / "lock").write_text(str(os.getpid()))
    for act in (lambda: ask(state, within=0.1), lambda: Stack({"TIDEGATE_STATE_DIR": str(state)}).start(print)):
        with pytest.raises(BadConfiguration, match="run this as its owner"):
            act()
    assert sent == []


def test_in_another_folder_the_command_says_where_to_run_it(tmp_path: Path) -> None:
    code, _, err = tidegate("delivery", "list", folder=tmp_path, env={"PATH": os.defpath})
    assert code == 2
    told = err.decode().removeprefix("tidegate: ").splitlines()
    where = "run this where .tidegate is (`tidegate up` leaves .tidegate/connections.env), or set it"
    assert sorted(told) == [f"TIDEGATE_{name}_URL: is not set; {where}" for name in ("DATABASE", "REDIS")]
