"""A real OpenID Connect provider for tests: provider.js on Node.js, with accounts and keys that a test sets."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import RSAKey

FOLDER = Path(__file__).parent
INSTALLED = FOLDER.parents[1] / ".venv" / "oidc"
START_SECONDS = 20.0
ALICE = {
    "name": "Alice Example",
    "preferred_username": "alice",
    "email": "Alice@Example.com",
    "email_verified": True,
    "groups": ["deployers"],
    "amr": ["pwd"],
}


def install() -> None:
    """Install the pinned packages, once for each version of the lock file. Without Node.js and npm the tests fail."""
    lock = (FOLDER / "package-lock.json").read_bytes()
    taken = INSTALLED / "taken.json"
    if taken.exists() and taken.read_bytes() == lock:
        return
    assert shutil.which("node") and shutil.which("npm"), "these tests need Node.js and npm: make test-tools"
    INSTALLED.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(FOLDER / name, INSTALLED / name)
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=INSTALLED, check=True, timeout=150)
    taken.write_bytes(lock)


def fresh_key(kid: str) -> RSAKey:
    """Make a key for the provider to sign with."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


@dataclass
class Provider:
    """The provider. `accounts` maps a login to its claims, and to the `amr` and `acr` of its sign-ins."""

    port: int
    redirect_uri: str
    key: RSAKey = field(default_factory=lambda: fresh_key("key-1"))
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    _process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Go by the usual accounts and the first key again, wherever a test has left it."""
        self.key = FIRST_KEY
        self.accounts = {"alice": dict(ALICE), "bob": {"preferred_username": "bob"}, "mallory": {"preferred_username": "mallory"}}
        if self._process is None:
            self.start()
        self.tell()

    def tell(self) -> None:
        """Let it go by what is set here."""
        state = {"jwks": {"keys": [self.key.as_dict(private=True)]}, "accounts": self.accounts}
        httpx.put(f"{self.url}/control", json=state).raise_for_status()

    def rotate(self, kid: str) -> None:
        """Sign with a new key, and publish the old one no longer."""
        self.key = fresh_key(kid)
        self.tell()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = ["node", "--no-warnings", str(FOLDER / "provider.js"), str(INSTALLED), str(self.port), self.redirect_uri]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._process.stdout is not None
        begun = time.monotonic()
        while "ready" not in self._process.stdout.readline():
            assert self._process.poll() is None and time.monotonic() - begun < START_SECONDS, "the provider did not start"

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client_token(self) -> str:
        """Get a JWT access token of the client `robot` (RFC 6749 §4.4, RFC 9068)."""
        form = {"grant_type": "client_credentials", "resource": "urn:gate", "scope": "deploy"}
        answer = httpx.post(f"{self.url}/token", data=form, auth=("robot", "robot-secret"))
        return str(answer.raise_for_status().json()["access_token"])


FIRST_KEY = fresh_key("key-1")


@contextmanager
def providing(port: int, redirect_uri: str) -> Iterator[Provider]:
    """Run the provider until the tests are over."""
    install()
    provider = Provider(port, redirect_uri)
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()
