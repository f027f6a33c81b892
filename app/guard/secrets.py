"""Resolve references to secrets. A secret is read when it is needed, and never sent to Sentry."""

from __future__ import annotations

from app.integrations.secrets.env import EnvSecrets
from app.integrations.secrets.file import FileSecrets
from app.integrations.secrets.protocol import Secret
from app.observe import never_send
from app.settings import environ


def secret(reference: str) -> Secret:
    """Resolve `env:NAME` or `file:/path`; raises SecretUnavailable."""
    kind, _, rest = reference.partition(":")
    store = FileSecrets() if kind == "file" else EnvSecrets(environ())
    resolved = store.get(rest)
    never_send(resolved.reveal())
    return resolved
