"""`env:NAME`: a secret in the process's environment."""

from __future__ import annotations

from collections.abc import Mapping

from app.domain.errors import SecretUnavailable
from app.integrations.secrets.protocol import Secret


class EnvSecrets:
    """Secrets in an environment that is handed in (protocol: SecretStore)."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def get(self, reference: str) -> Secret:
        """Return the variable's value without line ends after it; raises SecretUnavailable if it is unset or empty."""
        value = self._environ.get(reference, "").rstrip("\r\n")  # Kubernetes hands on the line end of `echo x | base64`
        if not value:
            raise SecretUnavailable(f"the environment variable {reference} is not set")
        return Secret(value.encode("utf-8", "surrogateescape"))  # the bytes as they were, as os.fsencode does (PEP 383)
