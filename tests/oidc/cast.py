"""A real OpenID Connect provider for tests: provider.js on Node.js, with accounts and keys that a test sets."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from joserfc.jwk import RSAKey

from app.stack.server import answers
from tests.oidc.install import installed
from tests.programs import Program

FOLDER = Path(__file__).parent
SECONDS = 60.0  # for an answer, on a busy machine
ALICE = {
    "name": "Alice Example",
    "preferred_username": "alice",
    "email": "Alice@Example.com",
    "email_verified": True,
    "groups": ["deployers"],
    "amr": ["pwd"],
}


def fresh_key(kid: str) -> RSAKey:
    """Make a key for the provider to sign with."""
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})


@dataclass
class Provider:
    """The provider. `accounts` maps a login to its claims, and to the `amr` and `acr` of its sign-ins."""

    port: int
    redirect_uri: str
    log: Path
    key: RSAKey = field(default_factory=lambda: fresh_key("key-1"))
    accounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    _program: Program | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self) -> None:
        """Go by the usual accounts and the first key again, wherever a test has left it."""
        self.key = FIRST_KEY
        self.accounts = {"alice": dict(ALICE), "bob": {"preferred_username": "bob"}, "mallory": {"preferred_username": "mallory"}}
        if self._program is None:
            self.start()
        self.tell()

    def tell(self) -> None:
        """Let it go by what is set here."""
        state = {"jwks": {"keys": [self.key.as_dict(private=True)]}, "accounts": self.accounts}
        httpx.put(f"{self.url}/control", json=state, timeout=SECONDS).raise_for_status()

    def rotate(self, kid: str) -> None:
        """Sign with a new key, and publish the old one no longer."""
        self.key = fresh_key(kid)
        self.tell()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = ["node", "--no-warnings", str(FOLDER / "provider.js"), str(installed()), str(self.port), self.redirect_uri]
        self._program = Program(command, self.log)
        self._program.until(lambda: answers(self.port))

    def stop(self) -> None:
        """End it."""
        if self._program is not None:
            self._program.stop(signal.SIGKILL)
            self._program = None

    def client_token(self) -> str:
        """Get a JWT access token of the client `robot` (RFC 6749 §4.4, RFC 9068)."""
        form = {"grant_type": "client_credentials", "resource": "urn:gate", "scope": "deploy"}
        answer = httpx.post(f"{self.url}/token", data=form, auth=("robot", "robot-secret"), timeout=SECONDS)
        return str(answer.raise_for_status().json()["access_token"])


FIRST_KEY = fresh_key("key-1")


@contextmanager
def providing(port: int, redirect_uri: str, log: Path) -> Iterator[Provider]:
    """Run the provider until the tests are over. What it says goes to `log`."""
    provider = Provider(port, redirect_uri, log)
    try:
        provider.start()
        yield provider
    finally:
        provider.stop()
