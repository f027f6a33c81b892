"""`file:/path`: a secret in a file that only its owner and group may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from app.domain.errors import SecretUnavailable
from app.integrations.secrets.protocol import Secret

LARGEST = 64 * 1024


class FileSecrets:
    """Secrets in files, read again each time, so that a changed file is a changed secret (protocol: SecretStore)."""

    def get(self, reference: str) -> Secret:
        """Return the file's content without its last newline; raises SecretUnavailable."""
        path = Path(reference)
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)  # of the opened file, which may have been replaced since
                value = file.read(LARGEST + 1)
        except OSError as fault:
            raise SecretUnavailable(f"the secret file {path} cannot be read: {fault.strerror}") from None
        except ValueError:  # a NUL in the path
            raise SecretUnavailable("the path of the secret file is not a path") from None
        if mode & stat.S_IRWXO:
            raise SecretUnavailable(f"the secret file {path} is open to everybody (mode {mode:04o}); chmod 600 it")
        value = value.removesuffix(b"\n").removesuffix(b"\r")
        if not value or len(value) > LARGEST:
            raise SecretUnavailable(f"the secret file {path} is empty or larger than {LARGEST} bytes")
        return Secret(value)
