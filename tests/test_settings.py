"""Settings: every TIDEGATE_* name is read, every fault is told by name and never by value."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.domain.errors import BadConfiguration
from app.settings import Settings, environ, load_settings

CANARY = "canary-5f2d-secret"
REQUIRED = {
    "TIDEGATE_DATABASE_URL": f"postgresql+psycopg://app:{CANARY}@127.0.0.1:5433/tidegate",
    "TIDEGATE_REDIS_URL": f"redis://:{CANARY}@127.0.0.1:6390/0",
}
KEY = bytes(range(32))
KEY_TEXT = base64.b64encode(KEY).decode()

EVERY_SETTING = [
    ("TIDEGATE_DATABASE_URL", "postgresql+psycopg://a:b@h/d", "postgresql+psycopg://a:b@h/d"),
    ("TIDEGATE_OWNER_DATABASE_URL", "postgresql://o:b@h/d", "postgresql+psycopg://o:b@h/d"),
    ("TIDEGATE_REDIS_URL", "redis://:p@h/0", "redis://:p@h/0"),
    ("TIDEGATE_MASTER_KEY", KEY_TEXT, KEY_TEXT),
    ("TIDEGATE_KEYSET_KEY", KEY_TEXT, KEY_TEXT),
    ("TIDEGATE_STATE_DIR", "/srv/tidegate", Path("/srv/tidegate")),
    ("TIDEGATE_CONFIG", "/etc/tidegate.toml", Path("/etc/tidegate.toml")),
    ("TIDEGATE_PUBLIC_URL", "https://gate.example", "https://gate.example/"),
    ("TIDEGATE_MAX_BODY_BYTES", "1024", 1024),
    ("TIDEGATE_SPOOL_BYTES", "0", 0),
    ("TIDEGATE_BODY_SECONDS", "2.5", 2.5),
    ("TIDEGATE_MAX_BYTES_IN_FLIGHT", "1048576", 1048576),
    ("TIDEGATE_SENTRY_DSN", "https://key@sentry.example/1", "https://key@sentry.example/1"),
    ("TIDEGATE_SENTRY_ENVIRONMENT", "staging", "staging"),
    ("TIDEGATE_RELEASE", "tidegate@9.9.9", "tidegate@9.9.9"),
    ("TIDEGATE_LOG_FORMAT", "console", "console"),
    ("TIDEGATE_LOG_LEVEL", "DEBUG", "DEBUG"),
    ("TIDEGATE_SWEEP_AFTER", "2.5", 2.5),
    ("TIDEGATE_POLL_EVERY", "0.5", 0.5),
    ("TIDEGATE_LEASE_SECONDS", "7", 7.0),
    ("TIDEGATE_DISPATCH_ATTEMPTS", "9", 9),
    ("TIDEGATE_REPOSITORY_THREADS", "3", 3),
    ("TIDEGATE_KEEP_BODIES", "90", 90.0),
    ("TIDEGATE_KEEP_TRYING_FOR", "3600", 3600.0),
    ("TIDEGATE_WINDOW", "6", 6),
    ("TIDEGATE_QUEUE_LIMIT", "200", 200),
    ("TIDEGATE_DELIVERY_RATE", "2.5", 2.5),
    ("TIDEGATE_DELIVERY_BURST", "50", 50),
    ("TIDEGATE_WORKER_THREADS", "3", 3),
    ("TIDEGATE_DEPLOYER_THREADS", "4", 4),
    ("TIDEGATE_SLOW_THREADS", "5", 5),
    ("TIDEGATE_STOP_WITHIN", "20", 20.0),
    ("TIDEGATE_DRAIN_WITHIN", "90", 90.0),
    ("TIDEGATE_MAX_RSS_MB", "512", 512),
    ("TIDEGATE_GIT_SECONDS", "5", 5.0),
    ("TIDEGATE_FETCH_SECONDS", "5", 5.0),
    ("TIDEGATE_GIT_MEMORY_BYTES", "5", 5),
    ("TIDEGATE_FETCH_BYTES", "5", 5),
    ("TIDEGATE_EXPORT_FILES", "5", 5),
    ("TIDEGATE_EXPORT_BYTES", "5", 5),
    ("TIDEGATE_METRICS_TOKEN", "env:METRICS", "env:METRICS"),
    ("TIDEGATE_HSTS", "31536000", 31536000),
    ("TIDEGATE_SESSION_IDLE", "60", 60.0),
    ("TIDEGATE_SESSION_LONGEST", "600", 600.0),
    ("TIDEGATE_TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8", "10.0.0.0/8, fd00::/8"),
    ("TIDEGATE_ADDRESS_HEADER", "CF-Connecting-IP", "CF-Connecting-IP"),
    ("TIDEGATE_COUNTRY_HEADER", "CF-IPCountry", "CF-IPCountry"),
    ("TIDEGATE_WEB_HOST", "0.0.0.0", "0.0.0.0"),
    ("TIDEGATE_WEB_PORT", "8001", 8001),
    ("TIDEGATE_FLOWER_PORT", "8002", 8002),
    ("TIDEGATE_POSTGRES_PORT", "8003", 8003),
    ("TIDEGATE_REDIS_PORT", "8004", 8004),
]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what this machine sets, and every file that `tidegate up` may have left."""
    for name in list(os.environ):
        if name.upper().startswith("TIDEGATE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return value if isinstance(value, (int, float, str, Path)) else str(value)


def value_of(settings: Settings, name: str) -> object:
    return plain(getattr(settings, name.removeprefix("TIDEGATE_").lower()))


def faults_of(env: dict[str, str]) -> list[str]:
    with pytest.raises(BadConfiguration) as caught:
        load_settings(env)
    return caught.value.faults


def connections(folder: Path, **values: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "connections.env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))


@pytest.mark.parametrize(("name", "text", "expected"), EVERY_SETTING)
def test_a_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: object) -> None:
    for key, value in {**REQUIRED, name: text}.items():
        monkeypatch.setenv(key, value)
    assert value_of(load_settings(), name) == expected


@pytest.mark.parametrize(("name", "text", "expected"), EVERY_SETTING)
def test_a_setting_is_read_from_a_given_environment(name: str, text: str, expected: object) -> None:
    assert value_of(load_settings({**REQUIRED, name: text}), name) == expected


def test_no_setting_is_missing_from_the_table_above() -> None:
    assert {name for name, _, _ in EVERY_SETTING} == {f"TIDEGATE_{field.upper()}" for field in Settings.model_fields}


@pytest.mark.parametrize("endless", ["inf", "nan", "1e999"])
@pytest.mark.parametrize("name", [name for name, _, value in EVERY_SETTING if isinstance(value, float)])
def test_seconds_are_finite(name: str, endless: str) -> None:
    (fault,) = faults_of({**REQUIRED, name: endless})
    assert fault.startswith(f"{name}: ")


def test_what_is_not_set_has_a_safe_default() -> None:
    settings = load_settings(REQUIRED)
    assert (settings.web_host, settings.web_port) == ("127.0.0.1", 8300)
    assert (settings.log_format, settings.log_level) == ("json", "INFO")
    assert settings.sentry_dsn is None
    assert settings.master_key is None
    assert settings.max_body_bytes == 25 * 1024 * 1024


def test_only_servers_have_no_default() -> None:
    required = {name for name, field in Settings.model_fields.items() if field.is_required()}
    assert required == {"database_url", "redis_url"}
    assert sorted(faults_of({"UNRELATED": "x"})) == ["TIDEGATE_DATABASE_URL: is not set", "TIDEGATE_REDIS_URL: is not set"]


def test_an_empty_environment_that_is_given_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in REQUIRED.items():
        monkeypatch.setenv(key, value)
    assert sorted(faults_of({})) == ["TIDEGATE_DATABASE_URL: is not set", "TIDEGATE_REDIS_URL: is not set"]


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_every_usual_postgres_scheme_leads_to_the_same_driver(scheme: str) -> None:
    settings = load_settings({**REQUIRED, "TIDEGATE_DATABASE_URL": f"{scheme}://a:b@h/d"})
    assert settings.database_url.get_secret_value() == "postgresql+psycopg://a:b@h/d"


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("TIDEGATE_DATABASE_URL", f"mysql://a:{CANARY}@h/d", "must begin with postgresql+psycopg://"),
        ("TIDEGATE_DATABASE_URL", CANARY, "must begin with postgresql+psycopg://"),
        ("TIDEGATE_OWNER_DATABASE_URL", f"sqlite:///{CANARY}", "must begin with postgresql+psycopg://"),
        ("TIDEGATE_PUBLIC_URL", CANARY, "valid URL"),
        ("TIDEGATE_PUBLIC_URL", f"ftp://{CANARY}", "'http' or 'https'"),
        ("TIDEGATE_MAX_BODY_BYTES", "0", "greater than 0"),
        ("TIDEGATE_MAX_BODY_BYTES", CANARY, "valid integer"),
        ("TIDEGATE_LOG_FORMAT", CANARY, "'json' or 'console'"),
        ("TIDEGATE_LOG_LEVEL", "info", "'INFO'"),
        ("TIDEGATE_SWEEP_AFTER", "0", "greater than 0"),
        ("TIDEGATE_POLL_EVERY", "-1", "greater than 0"),
        ("TIDEGATE_LEASE_SECONDS", CANARY, "valid number"),
        ("TIDEGATE_DISPATCH_ATTEMPTS", "0", "greater than 0"),
        ("TIDEGATE_WEB_PORT", "65536", "less than 65536"),
        ("TIDEGATE_FLOWER_PORT", "0", "greater than 0"),
        ("TIDEGATE_POSTGRES_PORT", "5433.5", "valid integer"),
        ("TIDEGATE_REDIS_PORT", "", "valid integer"),
    ],
)
def test_a_fault_names_its_variable_and_never_its_value(name: str, text: str, what: str) -> None:
    faults = faults_of({**REQUIRED, name: text})
    assert len(faults) == 1
    assert faults[0].startswith(f"{name}: ")
    assert what in faults[0]
    assert CANARY not in faults[0]


def test_all_faults_are_listed_together() -> None:
    env = {
        "TIDEGATE_DATABASE_URL": f"mysql://{CANARY}",
        "TIDEGATE_MASTER_KEY": CANARY,
        "TIDEGATE_PUBLIC_URL": CANARY,
        "TIDEGATE_WEB_PORT": CANARY,
        "TIDEGATE_LOG_FORMAT": CANARY,
    }
    with pytest.raises(BadConfiguration) as caught:
        load_settings(env)
    assert sorted(fault.partition(":")[0] for fault in caught.value.faults) == [
        "TIDEGATE_DATABASE_URL",
        "TIDEGATE_LOG_FORMAT",
        "TIDEGATE_PUBLIC_URL",
        "TIDEGATE_REDIS_URL",
        "TIDEGATE_WEB_PORT",
    ]
    assert str(caught.value) == "\n".join(caught.value.faults)
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__


def test_settings_that_are_shown_hide_their_secrets() -> None:
    names = ("TIDEGATE_OWNER_DATABASE_URL", "TIDEGATE_MASTER_KEY", "TIDEGATE_SENTRY_DSN")
    secrets = {name: f"postgresql://{CANARY}" for name in names}
    settings = load_settings({**REQUIRED, **secrets})
    assert CANARY not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_settings_cannot_be_changed() -> None:
    settings = load_settings(REQUIRED)
    with pytest.raises(ValueError, match="frozen"):
        settings.web_port = 1


@pytest.mark.parametrize("form", ["text", "file", "file with a newline", "env"])
def test_the_master_key_is_read_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(KEY_TEXT + ("\n" if "newline" in form else ""))
    monkeypatch.setenv("KEY_OF_THE_GATE", KEY_TEXT)
    value = {"text": KEY_TEXT, "env": "env:KEY_OF_THE_GATE"}.get(form, f"file:{path}")
    assert load_settings({**REQUIRED, "TIDEGATE_MASTER_KEY": value}).master_key_bytes() == KEY


def master_key_fault(value: str | None) -> str:
    settings = load_settings({**REQUIRED, **({} if value is None else {"TIDEGATE_MASTER_KEY": value})})
    with pytest.raises(BadConfiguration) as caught:
        settings.master_key_bytes()
    assert len(caught.value.faults) == 1
    return caught.value.faults[0]


def test_a_missing_master_key_is_a_fault_when_it_is_needed() -> None:
    assert master_key_fault(None) == "TIDEGATE_MASTER_KEY: is not set; it seals the signing keys"


@pytest.mark.parametrize("size", [0, 16, 31, 33, 64])
def test_a_master_key_of_another_length_is_a_fault(size: int) -> None:
    text = base64.b64encode(b"x" * size).decode()
    told = master_key_fault(text)
    assert told == f"TIDEGATE_MASTER_KEY: is {size} bytes, and must be 32"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (f"{CANARY}!", "Error"),
        (KEY_TEXT[:-2], "Error"),
        ("file:/nonexistent/master.key", "FileNotFoundError"),
        ("file:/", "IsADirectoryError"),
        ("env:NO_SUCH_NAME_OF_THE_GATE", "KeyError"),
    ],
)
def test_a_master_key_that_cannot_be_read_is_a_fault_without_its_value(value: str, why: str) -> None:
    assert master_key_fault(value) == f"TIDEGATE_MASTER_KEY: cannot be read ({why})"


def test_a_master_key_that_is_not_ascii_is_a_fault_without_its_value() -> None:
    told = master_key_fault(f"{CANARY}ключ")
    assert told.startswith("TIDEGATE_MASTER_KEY: cannot be read")
    assert CANARY not in told


def test_a_master_key_file_that_is_not_text_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "master.key").write_bytes(b"\xff" * 32)
    told = master_key_fault(f"file:{tmp_path}/master.key")
    assert told == "TIDEGATE_MASTER_KEY: cannot be read (UnicodeDecodeError)"


def test_the_connections_that_up_left_are_used(tmp_path: Path) -> None:
    connections(tmp_path / ".tidegate", **REQUIRED, TIDEGATE_PUBLIC_URL="http://127.0.0.1:9999")
    settings = load_settings()
    assert settings.redis_url.get_secret_value() == REQUIRED["TIDEGATE_REDIS_URL"]
    assert str(settings.public_url) == "http://127.0.0.1:9999/"


def test_the_connections_are_looked_for_in_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections(tmp_path / "elsewhere", **REQUIRED)
    monkeypatch.setenv("TIDEGATE_STATE_DIR", str(tmp_path / "elsewhere"))
    assert load_settings().database_url.get_secret_value() == REQUIRED["TIDEGATE_DATABASE_URL"]


def test_the_environment_goes_before_the_connections_that_up_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connections(tmp_path / ".tidegate", **REQUIRED)
    monkeypatch.setenv("TIDEGATE_REDIS_URL", "redis://from-the-environment/0")
    settings = load_settings()
    assert settings.redis_url.get_secret_value() == "redis://from-the-environment/0"
    assert settings.database_url.get_secret_value() == REQUIRED["TIDEGATE_DATABASE_URL"]


def test_a_given_environment_leaves_the_connections_of_up_aside(tmp_path: Path) -> None:
    connections(tmp_path / ".tidegate", **REQUIRED)
    assert faults_of({"TIDEGATE_REDIS_URL": "redis://h/0"}) == ["TIDEGATE_DATABASE_URL: is not set"]


def test_a_faulty_connections_file_is_told_like_a_faulty_variable(tmp_path: Path) -> None:
    connections(tmp_path / ".tidegate", **REQUIRED, TIDEGATE_WEB_PORT=CANARY)
    with pytest.raises(BadConfiguration) as caught:
        load_settings()
    assert [fault.partition(":")[0] for fault in caught.value.faults] == ["TIDEGATE_WEB_PORT"]
    assert CANARY not in str(caught.value)


def test_the_environment_for_references_is_that_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_BY_REFERENCE", "x")
    assert environ()["SECRET_BY_REFERENCE"] == "x"


def test_in_a_folder_without_the_gates_state_the_right_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TIDEGATE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadConfiguration) as caught:
        load_settings()
    remedy = "run this where .tidegate is (`tidegate up` leaves .tidegate/connections.env), or set it"
    assert caught.value.faults[-1].endswith(remedy)
    (tmp_path / ".tidegate").mkdir()
    with pytest.raises(BadConfiguration) as caught:
        load_settings()
    assert all("is not set" in fault for fault in caught.value.faults)
