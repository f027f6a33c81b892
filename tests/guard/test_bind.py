"""What is configured leads to adapters that are made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.example import write_example
from app.config.load import Configuration
from app.domain.errors import BadConfiguration
from app.guard.bind import clone_url
from app.guard.load import Memory, load_guard
from app.integrations.system import SystemClock, SystemIds
from app.pipeline.ports.services import Guard
from app.store.engine import make_engine
from app.store.unit import SqlStore
from tests.guard.test_source import settings_of


@pytest.fixture(autouse=True)
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example configuration in a folder of its own."""
    write_example(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loaded(folder: Path) -> tuple[Configuration, Guard]:
    """Load without a database: only what it says is looked at."""
    settings = settings_of(folder)
    store = SqlStore(make_engine(settings.database_url.get_secret_value()))
    return load_guard(settings, SystemClock(), Memory(store, SystemIds()))


def test_secrets_are_read_anew_so_that_they_can_be_rotated(rules: Path) -> None:
    binding = loaded(rules)[1].forges["gogs"]
    (rules / ".tidegate/webhook.secret").write_text("rotated\n")
    assert binding.secrets() == [b"rotated"]


def test_a_clone_url_comes_from_the_configuration(rules: Path) -> None:
    forges = loaded(rules)[0].forges
    assert clone_url(forges, "gogs:acme/shop") == "http://127.0.0.1:3000/acme/shop.git"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ('kind = "webhook"\nurl = "http://127.0.0.1:1/x"\nsecret = "env:X"', True),
        ('kind = "webhook"\nurl = "http://127.0.0.1:1/x"\nsecret = "env:X"\npool = "fast"', False),
        ('kind = "command"\nargv = ["/bin/true"]', False),
        ('kind = "command"\nargv = ["/bin/true"]\npool = "slow"', True),
    ],
)
def test_an_environment_is_slow_by_its_targets_kind_or_by_what_is_configured(rules: Path, target: str, expected: bool) -> None:
    toml = rules / "tidegate.toml"
    added = f'\n[targets.other]\nzone = "local"\n{target}\n'
    toml.write_text(toml.read_text().replace('targets = ["example-site"]', 'targets = ["example-site", "other"]') + added)
    _, guard = loaded(rules)
    assert [e.is_slow for e in guard.environments] == [expected]


def test_an_unknown_pool_is_a_fault(rules: Path) -> None:
    toml = rules / "tidegate.toml"
    toml.write_text(toml.read_text().replace('kind = "directory"', 'pool = "lazy"\nkind = "directory"'))
    with pytest.raises(BadConfiguration, match="pool"):
        loaded(rules)
