"""The first configuration: written once, complete, usable, and never over what is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.example import write_example
from app.domain.errors import BadConfiguration
from app.guard.load import Memory, load_guard
from app.integrations.system import SystemClock, SystemIds
from app.settings import Settings, load_settings
from app.store.engine import make_engine
from app.store.unit import SqlStore

NAMES = [
    "tidegate.toml",
    "people.toml",
    "policies/deploy.cedar",
    "policies/push.cedar",
    "policies/rollback.cedar",
    "policies/rights.cedar",
    ".tidegate/webhook.secret",
]


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def settings_of(folder: Path) -> Settings:
    return load_settings(
        {
            "TIDEGATE_DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
            "TIDEGATE_REDIS_URL": "redis://127.0.0.1/0",
            "TIDEGATE_CONFIG": str(folder / "tidegate.toml"),
            "TIDEGATE_STATE_DIR": str(folder / ".tidegate"),
        }
    )


def test_everything_is_written_where_nothing_is(tmp_path: Path) -> None:
    written = write_example(tmp_path)
    assert sorted(written) == sorted(tmp_path / name for name in NAMES)
    assert sorted(files_of(tmp_path)) == sorted(NAMES)


def test_the_secret_is_long_random_and_its_owners_only(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_example(tmp_path / name)
    one, two = (tmp_path / name / ".tidegate/webhook.secret" for name in ("one", "two"))
    assert one.stat().st_mode & 0o777 == 0o600
    assert one.parent.stat().st_mode & 0o777 == 0o700
    assert len(bytes.fromhex(one.read_text().strip())) == 32
    assert one.read_text() != two.read_text()


def test_a_second_call_writes_and_changes_nothing(tmp_path: Path) -> None:
    write_example(tmp_path)
    before = files_of(tmp_path)
    assert write_example(tmp_path) == []
    assert files_of(tmp_path) == before


def test_an_existing_configuration_is_never_touched_nor_joined_by_others(tmp_path: Path) -> None:
    (tmp_path / "tidegate.toml").write_text("# mine\n")
    before = files_of(tmp_path)
    assert write_example(tmp_path) == []
    assert files_of(tmp_path) == before


def test_other_files_that_exist_are_kept_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "people.toml").write_text("# mine\n")
    (tmp_path / ".tidegate").mkdir()
    (tmp_path / ".tidegate/webhook.secret").write_text("mine\n")
    written = write_example(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in written) == [
        "policies/deploy.cedar",
        "policies/push.cedar",
        "policies/rights.cedar",
        "policies/rollback.cedar",
        "tidegate.toml",
    ]
    assert (tmp_path / "people.toml").read_text() == "# mine\n"
    assert (tmp_path / ".tidegate/webhook.secret").read_text() == "mine\n"


def test_what_is_written_passes_every_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_example(tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = settings_of(tmp_path)
    memory = Memory(SqlStore(make_engine(settings.database_url.get_secret_value())), SystemIds())
    configuration, guard = load_guard(settings, SystemClock(), memory)
    assert [environment.name for environment in configuration.environments] == ["production"]
    assert list(guard.targets) == ["example-site"]
    assert guard.policy.text.count("@id(") == 13
    assert configuration.people == tmp_path / "people.toml"
    assert guard.forges["gogs"].secrets() == [(tmp_path / ".tidegate/webhook.secret").read_bytes().strip()]


def test_what_was_cut_short_is_completed_by_the_next_call(tmp_path: Path) -> None:
    (tmp_path / "policies").write_text("in the way\n")
    with pytest.raises((OSError, BadConfiguration)):
        write_example(tmp_path)
    (tmp_path / "policies").unlink()
    write_example(tmp_path)
    assert sorted(files_of(tmp_path)) == sorted(NAMES)
