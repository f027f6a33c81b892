"""Settings of a process, from TIDEGATE_*: read once, all faults listed together. The only file that reads os.environ."""

from __future__ import annotations

import base64
import contextlib
import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal

from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.domain.errors import BadConfiguration

PREFIX = "TIDEGATE_"
MASTER_KEY_BYTES = 32
READY_FILE = f"{PREFIX}READY_FILE"  # set by the supervisor, for the child
CONNECTIONS = "connections.env"  # left by `tidegate up` for the command line; the environment takes precedence


class Settings(BaseModel):
    """The settings that a process needs before it reads tidegate.toml. No secret has a default."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)

    database_url: SecretStr = Field(description="Postgres, as the application's role (postgresql+psycopg://…)")
    owner_database_url: SecretStr | None = Field(None, description="Postgres, as the owner of the tables; migrations only")
    redis_url: SecretStr = Field(description="Redis or Valkey, the transport between the processes (redis://…)")
    master_key: SecretStr | None = Field(
        None, description="seals signing keys: file:PATH or env:NAME of 32 bytes in base64, or the base64 itself"
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
    sentry_dsn: SecretStr | None = Field(None, description="turns Sentry on")
    sentry_environment: str = Field("production", description="the environment that Sentry shows")
    release: str = Field("tidegate@0.1.0", description="the release that Sentry shows")
    log_format: Literal["json", "console"] = Field("json", description="json: one document a line; console: for people")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="the lowest level that is logged")
    sweep_after: float = Field(10.0, gt=0, description="seconds after which a deployment that does not move is woken")
    poll_every: float = Field(1.0, gt=0, description="seconds between two checks of a running target or its health")
    lease_seconds: float = Field(15.0, gt=0, description="seconds after which another worker takes over a dead worker's dispatch")
    dispatch_attempts: int = Field(5, gt=0, description="number of tries at a target that cannot be reached")
    window: int = Field(
        4, ge=3, description="deployments of an environment that are under way at once; the others wait in the database"
    )
    queue_limit: int = Field(1000, gt=0, description="length of a queue above which the sweeper sends no more messages")
    delivery_rate: float = Field(20.0, gt=0, description="deliveries a second that a repository may send in the long run")
    delivery_burst: int = Field(600, gt=0, description="deliveries that a repository may send at once; more get 429")
    worker_threads: int = Field(8, gt=0, le=64, description="threads of `worker`: plan, identity, permission, token")
    deployer_threads: int = Field(8, gt=0, le=64, description="threads of `deployer`: starts that return quickly")
    slow_threads: int = Field(32, gt=0, le=256, description="threads of `slow`: starts and health checks that may take long")
    stop_within: float = Field(
        10.0, gt=0, description="seconds in which a process must end when everything stops; then it is killed"
    )
    drain_within: float = Field(
        75.0,
        gt=0,
        description="seconds in which a process must end once its successor works (restart, too much memory); then it is killed",
    )
    max_rss_mb: int = Field(0, ge=0, description="memory (MiB) above which a process is replaced; 0: no limit")
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

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for network in filter(None, map(str.strip, value.split(","))):
            try:
                ip_network(network)
            except ValueError:
                raise ValueError("must be networks like 10.0.0.0/8, separated by commas") from None
        return value

    @property
    def proxies(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """The networks of the edge."""
        return tuple(ip_network(network) for network in filter(None, map(str.strip, self.trusted_proxies.split(","))))

    def master_key_bytes(self) -> bytes:
        """Return the master key; raises BadConfiguration if it is missing or not 32 bytes in base64."""
        if self.master_key is None:
            raise BadConfiguration([f"{PREFIX}MASTER_KEY: is not set; it seals the signing keys"])
        text = self.master_key.get_secret_value()
        try:
            if text.startswith("file:"):
                text = Path(text.removeprefix("file:")).read_text(encoding="ascii")
            elif text.startswith("env:"):
                text = os.environ[text.removeprefix("env:")]
            key = base64.b64decode(text.strip(), validate=True)
        except (OSError, KeyError, ValueError) as fault:
            raise BadConfiguration([f"{PREFIX}MASTER_KEY: cannot be read ({type(fault).__name__})"]) from None
        if len(key) != MASTER_KEY_BYTES:
            raise BadConfiguration([f"{PREFIX}MASTER_KEY: is {len(key)} bytes, and must be {MASTER_KEY_BYTES}"])
        return key


class _FromEnvironment(Settings, BaseSettings):
    """The settings, read from this process's environment and from a file."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, allow_inf_nan=False)


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `env`, or without it from the environment and the file that `tidegate up` left.

    Raises BadConfiguration with every fault. A fault names its variable, never its value.
    """
    try:
        if env is None:
            left = Path(os.environ.get(f"{PREFIX}STATE_DIR", ".tidegate")) / CONNECTIONS
            return _FromEnvironment(_env_file=left)  # type: ignore[call-arg] # pydantic-settings' own argument, not a field
        return Settings.model_validate({n: env[key] for n in Settings.model_fields if (key := PREFIX + n.upper()) in env})
    except ValidationError as fault:
        faults = [f"{PREFIX}{str(e['loc'][0]).upper()}: {_plain_message(e['msg'], e['type'])}" for e in fault.errors()]
        raise BadConfiguration(faults) from None


def _plain_message(message: str, kind: str) -> str:
    return "is not set" if kind == "missing" else message[:1].lower() + message[1:]


def temporary_folder() -> dict[str, str]:
    """Return TMPDIR, if it is set, for a program that is started without the rest of the environment."""
    return {"TMPDIR": os.environ["TMPDIR"]} if "TMPDIR" in os.environ else {}


def tell_ready() -> None:
    """Tell the supervisor, if one started this process, that it is at work."""
    if name := os.environ.get(READY_FILE):
        with contextlib.suppress(OSError):  # a process that restarts by itself finds the file gone: the supervisor knows already
            Path(name).touch(mode=0o600)


def environ() -> Mapping[str, str]:
    """Return the environment, for secrets by reference (`env:NAME`) and for child processes."""
    return os.environ
