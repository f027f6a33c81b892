"""Which settings each process of the stack is given: those that it uses, and no others. One table, held by a test.

Variables that are not settings of the gate are the operator's: secrets that tidegate.toml names, proxies, locale. Processes
that read tidegate.toml get them; beat and Flower, which do not, get only what every program needs.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.settings import PREFIX, Settings

MIGRATE = "migrate"
FLOWER = "flower"
MASTER_KEY, KEYSET_KEY = f"{PREFIX}MASTER_KEY", f"{PREFIX}KEYSET_KEY"

_TRANSPORT = frozenset({"redis_url", "state_dir", "sentry_dsn", "sentry_environment", "release", "log_format", "log_level"})
_GATE = _TRANSPORT | {
    *("database_url", "config", "public_url", "spool_bytes"),
    *("sweep_after", "poll_every", "lease_seconds", "dispatch_attempts", "window", "queue_limit"),
    *("delivery_rate", "delivery_burst"),
    *("keep_trying_for", "keep_bodies", "repository_threads"),
    *("git_seconds", "git_memory_bytes", "fetch_seconds", "fetch_bytes", "export_files", "export_bytes"),
}
_WEB = {
    *("web_host", "web_port", "max_body_bytes", "body_seconds", "max_bytes_in_flight"),
    *("session_idle", "session_longest", "trusted_proxies", "address_header", "country_header"),
    *("keyset_key", "metrics_token", "hsts"),
}
NEEDS: Mapping[str, frozenset[str]] = {
    "web": _GATE | _WEB,
    "worker": _GATE | {"worker_threads"},
    "deployer": _GATE | {"deployer_threads", "master_key"},  # mints tokens
    "slow": _GATE | {"slow_threads", "master_key"},  # mints tokens
    "beat": _TRANSPORT,
    FLOWER: _TRANSPORT | {"flower_port"},
    MIGRATE: frozenset({"database_url", "owner_database_url", "redis_url"}),
}
# Used by `tidegate up` itself.
STACK_ONLY = frozenset({"stop_within", "drain_within", "max_rss_mb", "postgres_port", "redis_port"})

_WITHOUT_RULES = frozenset({"beat", FLOWER, MIGRATE})
_EVERYBODY = ("PATH", "HOME", "USER", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")
_EVERYBODY_PREFIXES = ("LC_", "PYTHON")
_OWN_PREFIXES = {FLOWER: ("FLOWER_",), MIGRATE: ("PG",)}  # Flower's options; libpq's


def environment_of(process: str, env: Mapping[str, str]) -> dict[str, str]:
    """Return what a process is given of the stack's environment."""
    mine = {PREFIX + name.upper() for name in NEEDS[process]}
    settings = {PREFIX + name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in env.items() if name in mine or (name not in settings and _is_for(process, name))}
    if MASTER_KEY not in mine:
        kept.pop(env.get(MASTER_KEY, "").removeprefix("env:"), None)  # the key itself, if the setting names a variable
    return kept


def _is_for(process: str, name: str) -> bool:
    """Tell whether a process is given a variable that is not a setting."""
    if process not in _WITHOUT_RULES:
        return not name.startswith(_OWN_PREFIXES[FLOWER])
    return name in _EVERYBODY or name.startswith((*_EVERYBODY_PREFIXES, *_OWN_PREFIXES.get(process, ())))
