"""Settings of a process, from TIDEGATE_*: read once, all faults listed together. The only file that reads os.environ."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from app.domain.errors import BadConfiguration
from app.ownership import NotOurs, check_rules_folder, read_own

PREFIX = "TIDEGATE_"
MASTER_KEY_BYTES = 32
KEYSET_KEY_BYTES = 32
SHORTEST_TOKEN = 16
STATE_DIR = f"{PREFIX}STATE_DIR"
READY_FILE = f"{PREFIX}READY_FILE"  # set by the supervisor, for the child
_PR_SET_DUMPABLE = 4  # linux/prctl.h
CONNECTIONS = "connections.env"  # left by `tidegate up` for the command line; the environment takes precedence


class Transport(BaseModel):
    """The settings of a process that only sends or watches messages: beat and Flower. No secret has a default."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    redis_url: SecretStr = Field(description="Redis or Valkey, the transport between the processes (redis://…)")
    sentry_dsn: SecretStr | None = Field(None, description="turns Sentry on")
    sentry_environment: str = Field("production", description="the environment that Sentry shows")
    release: str = Field("tidegate@0.1.0", description="the release that Sentry shows")
    log_format: Literal["json", "console"] = Field("json", description="json: one document a line; console: for people")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="the lowest level that is logged")

    def server_urls(self) -> list[SecretStr]:
        """List the URLs that hold a password."""
        return [self.redis_url]


class Settings(Transport):
    """The settings that a process needs before it reads tidegate.toml."""

    database_url: SecretStr = Field(description="Postgres, as the application's role (postgresql+psycopg://…)")
    owner_database_url: SecretStr | None = Field(None, description="Postgres, as the owner of the tables; migrations only")
    master_key: SecretStr | None = Field(
        None, description="seals signing keys: file:PATH or env:NAME of 32 bytes in base64, or the base64 itself"
    )
    keyset_key: str | None = Field(
        None,
        description="checks the keys that the receiver publishes; not a secret: `tidegate config keyset-key` prints it",
    )
    state_dir: Path = Field(Path(".tidegate"), description="folder of mirrors, dispatch state and the embedded servers")
    config: Path = Field(Path("tidegate.toml"), description="the configuration file: forges, targets, environments")
    public_url: AnyHttpUrl = Field(
        AnyHttpUrl("http://127.0.0.1:8300"), description="URL at which others reach the receiver; also the issuer of tokens"
    )
    max_body_bytes: int = Field(25 * 1024 * 1024, gt=0, description="bytes of the largest delivery accepted; larger ones get 413")
    body_seconds: float = Field(10.0, gt=0, description="seconds within which a delivery must arrive; slower ones get 408")
    max_bytes_in_flight: int = Field(
        128 * 1024 * 1024,
        gt=0,
        description="bytes of deliveries that the receiver holds at once; others wait, and in the end get 503",
    )
    spool_bytes: int = Field(
        1024**3, ge=0, description="bytes that the receiver keeps on disk while the database is away; 0: none, it answers 503"
    )
    sweep_after: float = Field(10.0, gt=0, description="seconds after which a deployment that does not move is woken")
    poll_every: float = Field(1.0, gt=0, description="seconds between two checks of a running target or its health")
    lease_seconds: float = Field(15.0, gt=0, description="seconds after which another worker takes over a dead worker's dispatch")
    dispatch_attempts: int = Field(5, gt=0, description="number of tries at a target that cannot be reached")
    keep_trying_for: float = Field(
        86_400.0, gt=0, description="seconds for which a deployment is tried again while a passing fault lasts; then it fails"
    )
    keep_bodies: float = Field(
        0.0,
        ge=0,
        le=36_500,
        description="days after which only the digest of a delivery's body is kept; 0: bodies are kept for ever",
    )
    window: int = Field(
        4, ge=3, description="deployments of an environment that are under way at once; the others wait in the database"
    )
    queue_limit: int = Field(1000, gt=0, description="length of a queue above which the sweeper sends no more messages")
    delivery_rate: float = Field(20.0, gt=0, description="deliveries a second that a repository may send in the long run")
    delivery_burst: int = Field(600, gt=0, description="deliveries that a repository may send at once; more get 429")
    worker_threads: int = Field(
        24, gt=0, le=64, description="threads of `worker`: plan, identity, permission, token; a third of them never waits for git"
    )
    deployer_threads: int = Field(8, gt=0, le=64, description="threads of `deployer`: starts that return quickly")
    slow_threads: int = Field(
        32,
        gt=0,
        le=256,
        description="threads of `slow`: starts and health checks that may take long",
    )
    repository_threads: int = Field(
        2, gt=0, le=64, description="threads of a process that ask git about one repository at once; the others wait their turn"
    )
    stop_within: float = Field(
        10.0, gt=0, description="seconds in which a process must end when everything stops; then it is killed"
    )
    drain_within: float = Field(
        75.0,
        gt=0,
        description="seconds in which a process must end once its successor works (restart, too much memory); then it is killed",
    )
    max_rss_mb: int = Field(0, ge=0, description="memory (MiB) above which a process is replaced; 0: no limit")
    git_seconds: float = Field(
        60.0,
        gt=0,
        description="seconds after which a question to a mirror is ended; three times about one commit: the commit is too large",
    )
    fetch_seconds: float = Field(300.0, gt=0, description="seconds after which a fetch, or the export of a release, is ended")
    git_memory_bytes: int = Field(
        4 * 1024**3, gt=0, description="bytes of memory (address space) of one git process; what needs more is too large"
    )
    fetch_bytes: int = Field(
        4 * 1024**3,
        gt=0,
        description="bytes of the largest file that git may write, such as the pack of a fetch; what is larger is refused",
    )
    export_files: int = Field(200_000, gt=0, description="files of the largest release; a larger one is refused")
    export_bytes: int = Field(4 * 1024**3, gt=0, description="bytes of the largest release; a larger one is refused")
    metrics_token: SecretStr | None = Field(
        None,
        description="bearer token for `/metrics` and the checks of `/readyz` (file:, env: or itself); unset: this machine only",
    )
    hsts: int = Field(
        0,
        ge=0,
        description="seconds for which browsers shall come by HTTPS only (HSTS), if the public URL is https; 0: not told",
    )
    session_idle: float = Field(3600.0, gt=0, description="seconds without a request after which a session ends")
    session_longest: float = Field(43_200.0, gt=0, description="seconds after the sign-in when a session ends in any case")
    trusted_proxies: str = Field(
        "", description="networks (CIDR, comma-separated) of the edge, whose two headers below are believed"
    )
    address_header: str = Field("X-Forwarded-For", description="header in which the edge says the caller's address")
    country_header: str = Field("", description="header in which the edge says the caller's country (CF-IPCountry)")
    web_host: str = Field("127.0.0.1", description="address that the receiver listens on")
    web_port: int = Field(8300, gt=0, lt=65536, description="port of the receiver")
    flower_port: int = Field(5556, gt=0, lt=65536, description="port of Flower")
    postgres_port: int = Field(5433, gt=0, lt=65536, description="port of the embedded Postgres")
    redis_port: int = Field(6390, gt=0, lt=65536, description="port of the embedded Redis")

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        url = value.get_secret_value()
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
            raise ValueError("must begin with postgresql+psycopg://")
        return SecretStr(f"postgresql+psycopg://{rest}")

    @field_validator("keyset_key")
    @classmethod
    def _is_public_key(cls, value: str | None) -> str | None:
        """Take an empty text as not set, as compose hands it on."""
        if not value:
            return None
        try:
            size = len(base64.b64decode(value, validate=True))
        except ValueError:
            size = 0
        if size != KEYSET_KEY_BYTES:
            raise ValueError("must be what `tidegate config keyset-key` prints: 32 bytes in base64")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for network in filter(None, map(str.strip, value.split(","))):
            try:
                ip_network(network)
            except ValueError:
                raise ValueError("must be networks like 10.0.0.0/8, separated by commas") from None
        return value

    def server_urls(self) -> list[SecretStr]:
        """List the URLs that hold a password."""
        return [url for url in (self.redis_url, self.database_url, self.owner_database_url) if url is not None]

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of the edge."""
        return tuple(ip_network(network) for network in filter(None, map(str.strip, self.trusted_proxies.split(","))))

    def master_key_bytes(self) -> bytes:
        """Return the master key; raises BadConfiguration if it is missing or not 32 bytes in base64."""
        if self.master_key is None:
            raise BadConfiguration([f"{PREFIX}MASTER_KEY: is not set; it seals the signing keys"])
        try:
            key = base64.b64decode(_resolve(self.master_key), validate=True)
        except (OSError, KeyError, ValueError) as fault:
            raise BadConfiguration([f"{PREFIX}MASTER_KEY: cannot be read ({type(fault).__name__})"]) from None
        if len(key) != MASTER_KEY_BYTES:
            raise BadConfiguration([f"{PREFIX}MASTER_KEY: is {len(key)} bytes, and must be {MASTER_KEY_BYTES}"])
        return key

    def metrics_token_bytes(self) -> bytes | None:
        """Return the metrics token, if one is set; raises BadConfiguration if it cannot be read or is too short to be one."""
        if self.metrics_token is None:
            return None
        try:
            token = _resolve(self.metrics_token)
        except (OSError, KeyError, ValueError) as fault:
            raise BadConfiguration([f"{PREFIX}METRICS_TOKEN: cannot be read ({type(fault).__name__})"]) from None
        if len(token) < SHORTEST_TOKEN:
            raise BadConfiguration([f"{PREFIX}METRICS_TOKEN: is {len(token)} characters, and must be {SHORTEST_TOKEN} or more"])
        return token.encode()


def _resolve(secret: SecretStr) -> str:
    """Return the text of a secret that may be a reference; raises OSError, KeyError or ValueError."""
    text = secret.get_secret_value()
    if text.startswith("file:"):
        text = Path(text.removeprefix("file:")).read_text(encoding="ascii")
    elif text.startswith("env:"):
        text = os.environ[text.removeprefix("env:")]
    return text.strip()


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `env`, or without it from the environment and the file that `tidegate up` left.

    Raises BadConfiguration with every fault. A fault names its variable, never its value.
    """
    if env is not None:
        with _faults_by_name():
            return Settings.model_validate(_named(env))
    with _faults_by_name(_remedy()):
        settings = Settings.model_validate(_named(_here(["DATABASE_URL", "REDIS_URL"])))
    if "config" not in settings.model_fields_set:
        _check_rules(settings.config)
    return settings


def load_transport() -> Transport:
    """Read what beat and Flower need, from where `load_settings` reads; raises BadConfiguration likewise."""
    with _faults_by_name(_remedy()):
        return Transport.model_validate(_named(_here(["REDIS_URL"])))


def _here(needed: Sequence[str]) -> dict[str, str]:
    """Join the environment with the file that `tidegate up` left; without the file, if it is not ours and not needed."""
    given = {name.upper(): value for name, value in os.environ.items()}
    try:
        left = read_own(_left()) or ""
    except NotOurs as fault:
        if all(PREFIX + name in given for name in needed):
            return given
        raise BadConfiguration([f"{_left()}: is not used: {fault}; or {_set_both(needed)}"]) from None
    lines = [line.partition("=") for line in left.splitlines() if not line.startswith("#")]
    return {**{name: value for name, _, value in lines}, **given}


def _left() -> Path:
    """Return where the file would be. A folder that was named may be a link; one in the working directory may not."""
    named = os.environ.get(STATE_DIR)
    return (Path(named).resolve() if named else Path(".tidegate")) / CONNECTIONS


def _check_rules(config: Path) -> None:
    try:
        check_rules_folder(config)
    except NotOurs as fault:
        raise BadConfiguration([f"{config}: is not used: {fault}; if it is meant, set {PREFIX}CONFIG to it"]) from None


def _remedy() -> str:
    """Say what would change that a server is not set."""
    if _left().exists():
        return ""
    return f"; run this where .tidegate is (`tidegate up` leaves {_left()}), or set it"


def _set_both(names: Sequence[str]) -> str:
    return f"set {' and '.join(PREFIX + name for name in names)}"


def _named(env: Mapping[str, str]) -> dict[str, str]:
    return {n: env[key] for n in Settings.model_fields if (key := PREFIX + n.upper()) in env}


@contextlib.contextmanager
def _faults_by_name(if_missing: str = "") -> Iterator[None]:
    try:
        yield
    except ValidationError as fault:
        texts = [(str(e["loc"][0]).upper(), _plain_message(e["msg"], e["type"], if_missing)) for e in fault.errors()]
        raise BadConfiguration([f"{PREFIX}{name}: {text}" for name, text in texts]) from None


def _plain_message(message: str, kind: str, if_missing: str) -> str:
    return f"is not set{if_missing}" if kind == "missing" else message[:1].lower() + message[1:]


def temporary_folder() -> dict[str, str]:
    """Return TMPDIR, if it is set, for a program that is started without the rest of the environment."""
    return {"TMPDIR": os.environ["TMPDIR"]} if "TMPDIR" in os.environ else {}


def tell_ready() -> None:
    """Tell the supervisor, if one started this process, that it is at work."""
    if name := os.environ.get(READY_FILE):
        with contextlib.suppress(OSError):  # a process that restarts by itself finds the file gone: the supervisor knows already
            Path(name).touch(mode=0o600)


def forbid_inspection() -> None:
    """Keep other processes of the same user from reading this one's memory and environment, and the kernel from dumping it.

    Linux only (prctl(2), PR_SET_DUMPABLE; root still may). A command target runs as the gate's user.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def environ() -> Mapping[str, str]:
    """Return the environment, for secrets by reference (`env:NAME`) and for child processes."""
    return os.environ
